// Run the collection that Postman makes of client.json: `node postman.cjs URL PHOTO`.
const { readFileSync, writeFileSync } = require("node:fs");
const newman = require("newman");
const { convert } = require("openapi-to-postmanv2");

const [url, photo] = process.argv.slice(2);
writeFileSync("text", "no picture");

function fill(request, fields) {
  for (const row of request.body?.formdata ?? []) {
    const value = fields[row.key];
    if (row.type === "file") row.src = value;
    else if (Array.isArray(value)) Object.assign(row, { type: "file", src: value }); // as a person chooses in its list
    else row.value = value;
  }
  for (const row of request.url.query) Object.assign(row, { value: fields[row.key], disabled: !(row.key in fields) });
}

function run(collection) {
  const options = { collection, envVar: [{ key: "baseUrl", value: url }] };
  return new Promise((resolve, reject) => newman.run(options, (error, summary) => {
    const failure = error ?? summary.run.failures[0]?.error;
    if (failure) return reject(failure);
    resolve(summary.run.executions.map((it) => it.response));
  }));
}

async function ask(collection, name, fields = {}) {
  const find = (items) => items.flatMap((it) => (it.item ? find(it.item) : it));
  const item = structuredClone(find(collection.item).find((it) => it.request.url.path.join("/") === name));
  fill(item.request, fields);
  const [response] = await run({ ...collection, item: [item], variable: [] });
  return response;
}

async function main(collection) {
  const { classes } = (await ask(collection, "model")).json();
  const answer = (await ask(collection, "predict", { file: photo, top_k: "1" })).json();
  const refused = (await ask(collection, "predict", { file: "text" })).json();
  const several = (await ask(collection, "predict/batch", { file: [photo, "text"] })).json();
  const drawn = await ask(collection, "explain", { file: photo });
  const kept = await ask(collection, "corrections", { file: photo, label: classes.at(-1), consent: "yes" });
  console.log(JSON.stringify({
    classes,
    label: answer.label,
    listed: answer.predictions.length,
    refused: [refused.status, refused.code],
    several: several.results.map((it) => it.prediction?.label ?? it.problem?.code),
    map: drawn.stream.subarray(0, 4).toString("hex"),
    kept: kept.json().label,
    status: (await ask(collection, "health")).json().status,
  }));
}

convert({ type: "string", data: readFileSync("client.json", "utf8") }, {}, (error, made) => {
  if (error || !made.result) throw error ?? new Error(made.reason);
  main(made.output[0].data);
});
