// Scored images: filters, threshold, counts, and one image in detail.
import { $, ask, el, percent, problem, short, showLayers } from "/app.js";
import { histogram } from "/histogram.js";

const PAGE = 60;

export async function startGallery(runs, editor) {
  let run = null; // what the server says of the chosen run, with its number
  let at = 0;
  let shown = PAGE;
  let chart = null;
  let wanted = null; // what is asked for next, while an answer is awaited
  let asking = false;
  const without = new Set(); // numbers of groups that do not count

  const url = (item, layer, side) =>
    `/v1/runs/${run.number}/items/${item}/layers/${layer}${side ? `?side=${side}` : ""}`;
  const level = () => `${short(100 * run.level)} %`;
  const called = (i) => run.items.score[i] >= at;

  function chosen() {
    const { id, label, group, score } = run.items;
    const [l, g, v] = [$("filter-label").value, $("filter-group").value, $("filter-verdict").value];
    const name = $("filter-name").value.toLowerCase();
    const fits = {
      "": () => true,
      called,
      passed: (i) => !called(i),
      alarm: (i) => label[i] === "good" && called(i),
      missed: (i) => label[i] === "bad" && !called(i),
    }[v];
    const list = [...id.keys()].filter((i) =>
      (!l || label[i] === l) && (!g || group[i] === g.slice(1)) && fits(i) && id[i].toLowerCase().includes(name));
    const order = {
      down: (a, b) => score[b] - score[a],
      up: (a, b) => score[a] - score[b],
      near: (a, b) => Math.abs(score[a] - at) - Math.abs(score[b] - at),
    }[$("sort").value];
    return list.sort((a, b) => order(a, b) || (id[a] < id[b] ? -1 : 1));
  }

  function tile(i) {
    const { id, label, group, score } = run.items;
    const wrong = called(i) !== (label[i] === "bad");
    return el("button", { type: "button", class: `${label[i]}${wrong ? " wrong" : ""}`, onclick: () => detail(i) },
      run.layers.length ? el("img", { loading: "lazy", alt: "", src: url(i, 0, 192) }) : "",
      el("span", {}, id[i]),
      el("span", {}, `${short(score[i])} · ${group[i]}`));
  }

  function grid() {
    if (!run) return;
    const list = chosen();
    $("shown").textContent = `${list.length} of ${run.items.id.length} images`;
    $("grid").replaceChildren(...list.slice(0, shown).map(tile));
    $("more").hidden = list.length <= shown;
  }

  const cells = ({ hits, total, rate, low, high }) => [el("td", {}, `${hits} of ${total}`), el("td", {}, percent(rate)),
    el("td", {}, low == null ? "–" : `${percent(low)} to ${percent(high)}`)];
  const line = (name, called) => el("tr", {}, el("td", {}, name), ...cells(called));
  const measure = (at) => ask(`/v1/runs/${run.number}/threshold?without=${[...without].join()}${at === null ? "" : `&at=${at}`}`);

  function tell(c) {
    $("counts").tBodies[0].replaceChildren(
      line("False alarms (good called bad)", c.false_alarms),
      line("Found (bad called bad)", c.recall),
      line("Right among those called bad", c.precision));
    const of = (g) => c.groups.find((x) => x.group === g.group && x.label === g.label);
    run.groups.forEach((g, i) => {
      const found = of(g);
      const row = $("groups").tBodies[0].rows[i];
      while (row.cells.length > 1) row.deleteCell(1);
      row.append(...(found ? cells(found.called) : [el("td", { colspan: 3 }, "not counted")]));
    });
    $("suggested").replaceChildren(...c.suggested.map(({ name, at: value }) =>
      el("button", { type: "button", onclick: () => { chart.place(value); move(value); } }, name)));
    $("auroc").textContent = c.auroc
      ? `AUROC ${percent(c.auroc.value)}, ${level()} interval ${percent(c.auroc.low)} to ${percent(c.auroc.high)}` : "";
  }

  async function counts() {
    wanted = at;
    if (asking) return;
    asking = true;
    try {
      while (wanted !== null) {
        const of = run;
        const asked = measure(wanted);
        wanted = null;
        const c = await asked;
        if (of === run) tell(c);
      }
    } catch (error) {
      problem(error);
    } finally {
      asking = false;
    }
  }

  let painting = 0;
  function move(value) {
    at = value;
    $("threshold").value = value;
    counts();
    cancelAnimationFrame(painting);
    painting = requestAnimationFrame(grid);
  }

  function detail(i) {
    const { id, label, group, score } = run.items;
    $("detail-title").textContent = id[i];
    $("detail-facts").textContent =
      `${label[i]}, group ${group[i]}, score ${short(score[i])}, called ${called(i) ? "bad" : "good"}`;
    const layers = run.layers.map(({ name, kind }, l) => ({ name, kind, url: url(i, l) }));
    showLayers($("detail-stack"), $("detail-layers"), layers);
    $("detail-draw").hidden = !layers.length;
    $("detail-draw").onclick = () => {
      $("detail").close();
      editor.reference(url(i, 0));
      location.hash = "#segments";
    };
    $("detail").showModal();
  }

  /** The histogram of what counts. */
  function draw() {
    const { label, group, score } = run.items;
    const out = new Set([...without].map((i) => `${run.groups[i].label} ${run.groups[i].group}`));
    const counted = [...score.keys()].filter((i) => !out.has(`${label[i]} ${group[i]}`));
    const pick = (column) => counted.map((i) => column[i]);
    chart = histogram($("histogram"), { label: pick(label), score: pick(score) }, move);
    chart.place(at);
  }

  function groupRow(g, i) {
    const box = el("input", { type: "checkbox", onchange: () => {
      if (box.checked) without.delete(i);
      else without.add(i);
      draw();
      counts();
    } });
    box.checked = !g.set_aside;
    const words = g.set_aside ? `${g.label}, set aside` : g.label;
    return el("tr", {}, el("td", {}, el("label", {}, box, ` ${g.group} (${words})`)));
  }

  async function open(number) {
    run = Object.assign(await ask(`/v1/runs/${number}`), { number });
    problem(null);
    without.clear();
    run.groups.forEach((g, i) => g.set_aside && without.add(i));
    $("counts").caption.textContent = `At this threshold (${level()} intervals of Clopper and Pearson)`;
    $("notes").replaceChildren(...run.notes.map((n) => el("li", {}, n)));
    $("groups").tBodies[0].replaceChildren(...run.groups.map(groupRow));
    const groups = [...new Set(run.items.group)].sort();
    // A group may have any name, also none; "=" tells it from "all".
    $("filter-group").replaceChildren(el("option", { value: "" }, "all"),
      ...groups.map((g) => el("option", { value: `=${g}` }, g)));
    shown = PAGE;
    const first = await measure(null);
    tell(first);
    at = first.at;
    draw();
    move(at);
  }

  $("run").replaceChildren(...runs.map((name, i) => el("option", { value: i }, name)));
  $("run").addEventListener("change", () => open(Number($("run").value)).catch(problem));
  for (const id of ["filter-label", "filter-group", "filter-verdict", "filter-name", "sort"]) {
    $(id).addEventListener("input", () => { shown = PAGE; grid(); });
  }
  $("threshold").addEventListener("change", () => {
    const value = $("threshold").valueAsNumber;
    if (chart && Number.isFinite(value)) { chart.place(value); move(value); }
  });
  $("more").addEventListener("click", () => { shown += PAGE; grid(); });
  $("detail-close").addEventListener("click", () => $("detail").close());
  await open(0).catch(problem);
}
