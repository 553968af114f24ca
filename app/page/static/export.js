// The answers for several photos as a file.

export function toPlain({ name, visit, problem }) {
  if (!visit) return { photo: name, error: problem ? { code: problem.code, message: problem.message } : null };
  const { label, score, verdict, unknown_score, labels, reason, predictions } = visit.answer;
  return { photo: name, label, score, verdict, reason, unknown_score, ...(labels && { labels }), predictions };
}

export function toCsv(results) {
  // A cell that begins like a formula would be run as one by a spreadsheet.
  const cell = (value) => `"${String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const plain = results.map(toPlain), several = plain.some((it) => it.labels);
  const joined = (it) => (several ? [it.labels?.map((entry) => entry.label).join("|")] : []);
  const lines = plain.map((it) => [it.photo, it.label, it.score, it.verdict, it.reason, ...joined(it), it.error?.message]);
  const heading = ["photo", "label", "score", "verdict", "reason", ...(several ? ["labels"] : []), "error"];
  return [heading, ...lines].map((line) => line.map(cell).join(",")).join("\r\n");
}

export function download(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // some browsers start reading it later
}
