// One image through the model.
import { $, ask, el, problem, short, showLayers } from "/app.js";

export function startInspect(model, largest) {
  const facts = [["Name", model.name], ["Threshold", short(model.threshold)], ["Detectors", model.detectors.join(", ")],
    ["Segments", model.segments.join(", ")], ...model.facts];
  $("facts").tBodies[0].replaceChildren(...facts.map(([k, v]) => el("tr", {}, el("th", {}, k), el("td", {}, v))));
  let url = null;
  let latest = 0;

  async function inspect(file) {
    const turn = ++latest;
    problem(null);
    $("verdict").className = "";
    $("verdict").textContent = "…";
    $("reasons").hidden = true;
    $("inspect-warnings").replaceChildren();
    if (file.size > largest) throw new Error(`the file is larger than ${largest} bytes`);
    const answer = await ask("/v1/inspect?pictures=true", {
      method: "POST", body: file, headers: { "content-type": "application/octet-stream" },
    });
    if (turn !== latest) return;
    const words = [answer.verdict, `score ${short(answer.score)}`, `threshold ${short(answer.threshold)}`];
    if (answer.probability != null) words.push(`probability of “bad” ${answer.probability.toFixed(3)}`);
    $("verdict").textContent = words.join(" · ");
    $("verdict").className = `verdict-${answer.verdict}`;
    $("inspect-warnings").replaceChildren(...(answer.warnings ?? []).map((w) => el("li", {}, w)));
    $("reasons").hidden = !answer.reasons.length;
    $("reasons").tBodies[0].replaceChildren(...answer.reasons.map((r) => el("tr", {},
      el("td", {}, r.segment || "whole image"), el("td", {}, r.detector), el("td", {}, r.statistic),
      el("td", {}, short(r.value)), el("td", {}, r.usual ? `${short(r.usual[0])} to ${short(r.usual[1])}` : "–"),
      el("td", {}, short(r.contribution)))));
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(file);
    const layers = [{ name: "image", kind: "photo", url }];
    for (const m of answer.maps) layers.push({ name: m.detector, kind: "map", url: m.picture });
    if (answer.segments) layers.push({ name: "segments", kind: "segments", url: answer.segments });
    showLayers($("inspect-stack"), $("inspect-layers"), layers);
  }

  $("inspect-file").addEventListener("change", () => {
    const [file] = $("inspect-file").files;
    if (file) inspect(file).catch((error) => { $("verdict").textContent = ""; problem(error); });
  });
}
