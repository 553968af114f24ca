// Photos: read upright, shrunk before they are sent, and drawn small.

import { $, element } from "./element.js";
import { ask, typeOf } from "./service.js";

const SEND_SIDE = 1024; // pixels: larger photos are shrunk to this before they are sent
const SHOW_SIDE = 900;
const THUMB_SIDE = 128;

// Read what is shown of a photo, and what is sent. A file that this browser cannot read is sent as it is.
export async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { view: null, blob: file }; // the service will name the reason
  }
  const { width, height } = bitmap;
  const side = Math.max(width, height);
  const view = draw(bitmap, Math.min(1, SHOW_SIDE / side));
  const small = side > SEND_SIDE && draw(bitmap, SEND_SIDE / side);
  bitmap.close();
  const blob = small ? await new Promise((resolve) => small.toBlob(resolve, "image/jpeg", 0.92)) : file;
  return { view, blob, width, height };
}

// What this browser cannot show, such as HEIC, the service draws.
export async function readByService({ blob }) {
  try {
    const response = await ask("explain?opacity=0", blob, typeOf(blob));
    return (await read(await response.blob())).view;
  } catch {
    return null; // there are no heat maps, so nothing is drawn
  }
}

// Cut a square out of the middle.
export function thumbnail(view) {
  const side = Math.min(view.width, view.height);
  const canvas = element("canvas", { width: THUMB_SIDE, height: THUMB_SIDE });
  const context = smooth(canvas);
  context.drawImage(view, (view.width - side) / 2, (view.height - side) / 2, side, side, 0, 0, THUMB_SIDE, THUMB_SIDE);
  return canvas;
}

export function copy(canvas) {
  const twin = element("canvas", { width: canvas.width, height: canvas.height });
  twin.getContext("2d").drawImage(canvas, 0, 0);
  return twin;
}

export function smooth(canvas) {
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  return context;
}

function draw(image, scale) {
  const canvas = element("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = smooth(canvas);
  context.fillStyle = $("photo").dataset.background; // behind transparent parts, as the service does
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}
