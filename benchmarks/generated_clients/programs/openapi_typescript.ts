// Use the types that openapi-typescript has generated, with openapi-fetch: `node openapi_typescript.js URL PHOTO`.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./client.js";

const whisker = createClient<paths>({ baseUrl: process.argv[2] });
const photo = new Blob([readFileSync(process.argv[3])]);
const text = new Blob(["no picture"]);

// openapi-typescript has no type of its own for bytes: a form's fields are strings to it, or lists of them.
const bytes = (file: Blob) => file as unknown as string;
const form = (fields: object) => {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) data.append(name, one);
  return data;
};
const given = <T extends object>(body: T) => ({ body, bodySerializer: form });
const done = <T>(answer: { data?: T; error?: components["schemas"]["Problem"] }): T => {
  if (answer.data === undefined) throw new Error(answer.error?.detail);
  return answer.data;
};

const { classes } = done(await whisker.GET("/model"));
const params = { query: { top_k: 1 } };
const answer = done(await whisker.POST("/predict", { params, ...given({ file: bytes(photo) }) }));
const refused = await whisker.POST("/predict", given({ file: bytes(text) }));
if (refused.error === undefined) throw new Error("a text was classified");
const several = done(await whisker.POST("/predict/batch", given({ file: [photo, text].map(bytes) })));
const drawn = await whisker.POST("/explain", { ...given({ file: bytes(photo) }), parseAs: "arrayBuffer" });
const correction = { file: bytes(photo), label: classes.slice(-1), consent: "yes" as const };
const kept = done(await whisker.POST("/corrections", given(correction)));
const state = await whisker.GET("/health");

console.log(JSON.stringify({
  classes,
  label: answer.label,
  listed: answer.predictions.length,
  refused: [refused.error.status, refused.error.code],
  several: several.results.map((it) => it.prediction?.label ?? it.problem?.code),
  map: Buffer.from(done(drawn)).subarray(0, 4).toString("hex"),
  kept: kept.label,
  status: state.data?.status,
}));
