// Segments drawn over a reference image. What is saved is the text that the server made and read back.
import { $, ask, el, percent, problem, svg } from "/app.js";
import { between, draw, grips, numbers, shift, turned, unturned } from "/shapes.js";

const EMPTY = { title: "my product", reference: { width: 256, height: 256 }, segments: ["background"], allow_empty: [], shape: [] };

export function startEditor(colours) {
  let file = structuredClone(EMPTY);
  let selected = -1;
  let corners = []; // of a polygon that is being drawn
  let drag = null;
  let picture = null; // URL of the reference image
  let checked = null; // the server's answer for the file as it is
  const past = [];
  const canvas = $("canvas");

  const colour = (label) => `rgb(${colours[label ? 1 + ((label - 1) % (colours.length - 1)) : 0].join(" ")})`;
  const labelOf = (name) => Math.max(0, file.segments.indexOf(name));
  const tool = () => document.querySelector("input[name=tool]:checked").value;
  const remember = () => { past.push(JSON.stringify(file)); if (past.length > 200) past.shift(); };
  /** Something that can be undone. */
  const change = (action) => { remember(); action(); update(); };

  function point(event) {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(canvas.getScreenCTM().inverse());
    return [Math.round(p.x * 10) / 10, Math.round(p.y * 10) / 10];
  }

  // ---- drawing

  function paint() {
    const { width, height } = file.reference;
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const nodes = [];
    if (picture) nodes.push(svg("image", { href: picture, width, height, preserveAspectRatio: "none" }));
    const opacity = $("opacity").value;
    if ($("painted").checked && checked?.picture) {
      nodes.push(svg("image", { class: "painted", href: checked.picture, width, height, opacity, preserveAspectRatio: "none" }));
    } else {
      file.shape.forEach((s, i) => {
        const node = draw(s);
        const own = colour(labelOf(s.segment));
        node.setAttribute("class", `shape${i === selected ? " selected" : ""}`);
        node.setAttribute("fill", own);
        node.setAttribute("stroke", own);
        node.setAttribute("fill-opacity", opacity);
        node.dataset.index = i;
        nodes.push(node);
      });
    }
    const size = 4 * Math.max(width / Math.max(canvas.clientWidth, 1), 0.25);
    const s = file.shape[selected];
    if (s) {
      const group = svg("g", { transform: turned(s) });
      grips(s).forEach((g, i) => {
        const node = svg("circle", { class: "grip", cx: g.at[0], cy: g.at[1], r: size });
        node.dataset.grip = i;
        group.append(node);
      });
      nodes.push(group);
    }
    if (corners.length) {
      nodes.push(svg("polyline", { class: "draft", points: corners.map((c) => c.join(",")).join(" ") }));
      nodes.push(svg("circle", { class: "grip", cx: corners[0][0], cy: corners[0][1], r: size }));
    }
    canvas.replaceChildren(...nodes);
  }

  function add(shape) {
    change(() => { file.shape.push(shape); selected = file.shape.length - 1; });
  }

  function closePolygon() {
    // A double click sets its point twice.
    const points = corners.filter((c, i) => i === 0 || c.join() !== corners[i - 1].join());
    corners = [];
    if (points.length >= 3) add({ kind: "polygon", segment: $("paint").value, points });
    else paint();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.focus();
    event.preventDefault();
    const at = point(event);
    if (tool() === "polygon") {
      corners.push(at);
      paint();
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    const { grip, index } = event.target.dataset;
    if (tool() !== "select") {
      drag = { kind: "draw", from: at };
    } else if (grip !== undefined) {
      remember();
      drag = { kind: "grip", grip: Number(grip) };
    } else {
      selected = index === undefined ? -1 : Number(index);
      drag = selected < 0 ? null : { kind: "move", from: at, before: JSON.stringify(file), moved: false };
      lists();
      paint();
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const at = point(event);
    const s = file.shape[selected];
    if (drag.kind === "draw") {
      const draft = draw(between(tool(), "", drag.from, at));
      draft.setAttribute("class", "draft");
      paint();
      canvas.append(draft);
    } else if (drag.kind === "grip") {
      grips(s)[drag.grip].take(unturned(s, at));
      update();
    } else {
      const [dx, dy] = [at[0] - drag.from[0], at[1] - drag.from[1]];
      if (!dx && !dy) return;
      if (!drag.moved) past.push(drag.before);
      drag = { ...drag, from: at, moved: true };
      shift(s, dx, dy);
      update();
    }
  });

  canvas.addEventListener("pointerup", (event) => {
    const done = drag;
    drag = null;
    if (done?.kind !== "draw") return;
    const at = point(event);
    if (Math.abs(at[0] - done.from[0]) >= 1 && Math.abs(at[1] - done.from[1]) >= 1) {
      add(between(tool(), $("paint").value, done.from, at));
    } else {
      paint();
    }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; paint(); });
  canvas.addEventListener("dblclick", () => tool() === "polygon" && closePolygon());

  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const s = file.shape[selected];
    if (event.key === "Enter" && corners.length) closePolygon();
    else if (event.key === "Escape") { corners = []; selected = -1; lists(); paint(); }
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
    else if (s && steps[event.key]) change(() => shift(s, ...steps[event.key]));
    else if (s && (event.key === "Delete" || event.key === "Backspace")) remove(selected);
    else return;
    event.preventDefault();
  });

  // ---- lists

  const remove = (i) => change(() => { file.shape.splice(i, 1); selected = -1; });

  function swap(list, i, by, after) {
    if (i + by < 0 || i + by >= list.length) return;
    change(() => { [list[i], list[i + by]] = [list[i + by], list[i]]; after?.(i + by); });
  }

  function rename(label, name) {
    change(() => {
      const old = file.segments[label];
      file.segments[label] = name;
      for (const s of file.shape) if (s.segment === old) s.segment = name;
      file.allow_empty = file.allow_empty.map((n) => (n === old ? name : n));
    });
  }

  function drop(label) {
    change(() => {
      const [old] = file.segments.splice(label, 1);
      file.shape = file.shape.filter((s) => s.segment !== old);
      file.allow_empty = file.allow_empty.filter((n) => n !== old);
      selected = -1;
    });
  }

  const button = (text, title, onclick) => el("button", { type: "button", title, "aria-label": title, onclick }, text);

  function nameRow(name, label) {
    const input = el("input", { size: 14, "aria-label": `name of segment ${label}` });
    input.value = name;
    input.addEventListener("change", () => rename(label, input.value));
    const empty = el("input", { type: "checkbox", "aria-label": `${name} may be empty`, onchange: () => change(() => {
      file.allow_empty = empty.checked ? [...file.allow_empty, name] : file.allow_empty.filter((n) => n !== name);
    }) });
    empty.checked = file.allow_empty.includes(name);
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = colour(label);
    return el("tr", {}, el("td", {}, swatch), el("td", {}, input), el("td", { class: "covers" }), el("td", { class: "pieces" }),
      el("td", {}, empty),
      el("td", {}, button("↑", `${name} up`, () => swap(file.segments, label, -1)),
        button("↓", `${name} down`, () => swap(file.segments, label, 1)),
        file.segments.length > 1 ? button("×", `remove ${name}`, () => drop(label)) : ""));
  }

  const options = (chosen) => file.segments.map((name) => {
    const option = el("option", { value: name }, name);
    option.selected = name === chosen;
    return option;
  });

  function shapeRow(s, i) {
    const segment = el("select", { "aria-label": `segment of shape ${i + 1}`, onchange: () => change(() => (s.segment = segment.value)) },
      ...options(s.segment));
    const follow = (to) => (selected = to);
    return el("tr", { class: i === selected ? "selected" : "" },
      el("td", {}, button(`${i + 1} ${s.kind}`, `select shape ${i + 1}`, () => { selected = i; lists(); paint(); })),
      el("td", {}, segment),
      el("td", {}, button("↑", `shape ${i + 1} is painted earlier`, () => swap(file.shape, i, -1, follow)),
        button("↓", `shape ${i + 1} is painted later`, () => swap(file.shape, i, 1, follow)),
        button("×", `remove shape ${i + 1}`, () => remove(i))));
  }

  function lists() {
    $("title").value = file.title;
    $("width").value = file.reference.width;
    $("height").value = file.reference.height;
    $("names").tBodies[0].replaceChildren(...file.segments.map(nameRow));
    $("shapes").tBodies[0].replaceChildren(...file.shape.map(shapeRow));
    const paints = $("paint").value;
    $("paint").replaceChildren(...options(file.segments.includes(paints) ? paints : file.segments.at(-1)));
    const s = file.shape[selected];
    $("fields").replaceChildren(...(s ? numbers(s) : []).map(({ name, value, set }) => {
      const input = el("input", { type: "number", step: "any" });
      input.value = value;
      input.addEventListener("change", () => Number.isFinite(input.valueAsNumber) && change(() => set(input.valueAsNumber)));
      return el("label", {}, `${name} `, input);
    }));
    $("undo").disabled = !past.length;
    coverage();
  }

  // ---- what the server says

  function coverage() {
    const segments = checked?.coverage?.segments ?? [];
    [...$("names").tBodies[0].rows].forEach((row, i) => {
      row.querySelector(".covers").textContent = segments[i] ? `${percent(segments[i].fraction)} (${segments[i].pixels})` : "–";
      row.querySelector(".pieces").textContent = segments[i] ? segments[i].components : "–";
    });
    $("warnings").replaceChildren(...(checked?.coverage?.warnings ?? []).map((w) => el("li", {}, w)));
    $("shapes-problem").textContent = checked?.problem ?? "";
    $("toml").textContent = checked?.toml ?? "";
    $("save").disabled = !checked || checked.problem !== null;
  }

  let turn = 0;
  let timer = 0;
  function check() {
    checked = null;
    $("save").disabled = true;
    const mine = ++turn;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const answer = await ask("/v1/segments/check", {
          method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(file),
        });
        if (mine !== turn) return;
        checked = answer;
        coverage();
        if ($("painted").checked) paint();
      } catch (error) {
        if (mine !== turn) return;
        coverage();
        $("shapes-problem").textContent = error.message;
      }
    }, 120);
  }

  function update() {
    check();
    lists();
    paint();
  }

  function undo() {
    if (!past.length) return;
    file = JSON.parse(past.pop());
    selected = -1;
    update();
  }

  function setReference(url) {
    const image = new Image();
    image.addEventListener("load", () => {
      remember();
      picture = url;
      const [width, height] = [image.naturalWidth, image.naturalHeight];
      // Shapes keep their place on the product where the size differs.
      const [fx, fy] = [width / file.reference.width, height / file.reference.height];
      if ((fx !== 1 || fy !== 1) && file.shape.length) {
        problem(`The image is ${width} × ${height}; the shapes are for ${file.reference.width} × ${file.reference.height}, over which it is stretched.`);
      } else {
        file.reference = { width, height };
      }
      update();
    });
    image.addEventListener("error", () => problem("the reference image cannot be shown"));
    image.src = url;
  }

  function save() {
    const url = URL.createObjectURL(new Blob([checked.toml], { type: "application/toml" }));
    const name = file.title.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "") || "segments";
    const link = el("a", { href: url, download: `${name}.toml` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  // ---- controls

  $("reference").addEventListener("change", () => {
    const [image] = $("reference").files;
    if (image) setReference(URL.createObjectURL(image));
  });
  $("open").addEventListener("change", async () => {
    const [toml] = $("open").files;
    if (!toml) return;
    try {
      const read = await ask("/v1/segments/read", {
        method: "POST", headers: { "content-type": "application/toml" }, body: await toml.text(),
      });
      selected = -1;
      change(() => (file = { allow_empty: [], ...read }));
      problem(null);
    } catch (error) {
      problem(error);
    }
    $("open").value = "";
  });
  $("title").addEventListener("change", () => change(() => (file.title = $("title").value)));
  for (const side of ["width", "height"]) {
    $(side).addEventListener("change", () => change(() => (file.reference[side] = Math.max(1, Math.round($(side).valueAsNumber) || 1))));
  }
  $("add").addEventListener("click", () => change(() => {
    let n = file.segments.length;
    while (file.segments.includes(`segment ${n}`)) n += 1;
    file.segments.push(`segment ${n}`);
    $("paint").replaceChildren();
  }));
  $("painted").addEventListener("change", paint);
  $("opacity").addEventListener("input", paint);
  $("tools").addEventListener("change", () => { corners = []; paint(); });
  $("save").addEventListener("click", save);
  $("undo").addEventListener("click", undo);
  update();
  return { reference: setReference };
}
