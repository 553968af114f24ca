// Use the client that orval has generated: `node orval.js URL PHOTO`; the address is in the client.
import { readFileSync } from "node:fs";
import { correct, explain, health, modelCard, predict, predictBatch } from "./client.js";

const photo = new Blob([readFileSync(process.argv[3])]);
const text = new Blob(["no picture"]);

const card = await modelCard();
if (card.status !== 200) throw new Error(card.data.detail);
const classes = card.data.classes;
const answer = await predict({ file: photo }, { top_k: 1 });
if (answer.status !== 200) throw new Error(answer.data.detail);
const refused = await predict({ file: text });
if (refused.status === 200) throw new Error("a text was classified");
const several = await predictBatch({ file: [photo, text] });
if (several.status !== 200) throw new Error(several.data.detail);
const drawn = await explain({ file: photo });
if (drawn.status !== 200) throw new Error(drawn.data.detail);
const kept = await correct({ file: photo, label: classes.slice(-1), consent: "yes" });
if (kept.status !== 201) throw new Error(kept.data.detail);
const state = await health();

console.log(JSON.stringify({
  classes,
  label: answer.data.label,
  listed: answer.data.predictions.length,
  refused: [refused.data.status, refused.data.code],
  several: several.data.results.map((it) => it.prediction?.label ?? it.problem?.code),
  map: Buffer.from(await drawn.data.slice(0, 4).arrayBuffer()).toString("hex"),
  kept: kept.data.label,
  status: state.data.status,
}));
