// The service: requests with the key, if there is one, tried again while it is busy.

const TRIES = 4;
const ADVICE = {
  unsupported_picture_format: "This file is not a supported picture. Choose a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF file.",
  undecodable_picture: "This picture is damaged or incomplete. Try another copy of it.",
  picture_too_large: "This picture has too many pixels. Save a smaller copy and choose that.",
  body_too_large: "This file is too large. Save a smaller copy and choose that.",
  inference_failed: "The model could not classify this picture. Try another one.",
  overloaded: "The service is busy. Try again in a moment.",
  not_ready: "The service is starting or stopping. Try again in a moment.",
  deadline_exceeded: "That took too long. Try again in a moment.",
  request_timeout: "The upload was too slow. Check your connection and try again.",
  unauthorized: "The API key is missing or wrong.",
};
let key = "";

export const hasKey = () => Boolean(key);
export const useKey = (given) => (key = given);
export const isKey = (given) => /^[\x20-\x7e]+$/.test(given); // since it is sent in a header
export const NO_KEY = "An API key has only ASCII letters, digits and punctuation characters.";

export class Problem extends Error {
  constructor(code, sentence) {
    super(ADVICE[code] ?? sentence);
    this.code = code;
  }
}

export const ask = (path, body, type, wait) => request("POST", path, body, type, wait);

export async function request(method, path, body, type, wait = () => {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  if (type) headers["Content-Type"] = type;
  for (let tried = 1; ; tried++) {
    let response;
    try {
      response = await fetch(path, { method, body, headers });
    } catch {
      throw new Problem("unreachable", "The service cannot be reached. Check your connection and try again.");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    if (response.status !== 503 || tried === TRIES) throw new Problem(problem.code, problem.detail ?? "Something went wrong. Try again in a moment.");
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 1, 5);
    wait(seconds);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

export async function predict({ blob }, { classes, explain, wait }) {
  const query = new URLSearchParams({ top_k: classes, ...(explain !== undefined && { explain }) });
  return (await ask(`predict?${query}`, blob, typeOf(blob), wait)).json();
}

export const typeOf = (blob) => (blob.type.startsWith("image/") ? blob.type : "application/octet-stream");
