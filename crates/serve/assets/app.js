// What all pages share, and which page is shown. Text from outside reaches the page as text alone: it is set with
// textContent or as an attribute's value, never parsed.
import { startGallery } from "/gallery.js";
import { startInspect } from "/inspect.js";
import { startEditor } from "/editor.js";

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** An element: attributes, listeners ("onclick"), children (strings become text). */
export const el = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, children);

/** The same for drawings. */
export const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

/** Shows what went wrong; nothing hides it again. */
export function problem(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? String(error.message ?? error) : "";
}

/** Asks the server; a refusal is an Error with the server's words. */
export async function ask(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.message ?? `${path}: status ${response.status}`);
  return body;
}

/** A number for people: four significant digits, as the report prints them. */
export function short(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  return magnitude >= -4 && magnitude < 6
    ? String(Number(value.toFixed(Math.max(0, 3 - magnitude))))
    : value.toExponential(3).replace("+", "");
}

/** Percent with one decimal, halves away from zero as in the report's tables. */
export function percent(value) {
  if (value == null) return "–";
  const tenths = Math.round(Math.round(value * 1e7) / 1e6); // a sum's error is no reason to round down
  return `${(tenths / 10).toFixed(1)} %`;
}

/** Pictures over one another, with a box to show each and a slider for how much of it. */
export function showLayers(stack, controls, layers) {
  stack.replaceChildren();
  controls.replaceChildren();
  layers.forEach(({ name, kind, url }, i) => {
    const image = el("img", { class: kind, alt: name, src: url });
    const base = i === 0;
    image.hidden = !base && kind === "segments";
    image.style.opacity = base ? 1 : 0.5;
    const box = el("input", { type: "checkbox", onchange: () => (image.hidden = !box.checked) });
    box.checked = !image.hidden;
    const slider = el("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": `opacity of ${name}` });
    slider.value = image.style.opacity;
    slider.addEventListener("input", () => (image.style.opacity = slider.value));
    stack.append(image);
    controls.append(el("label", {}, box, " ", name, " ", base ? "" : slider));
  });
}

function show() {
  const tabs = [...$("tabs").children].filter((a) => !a.hidden);
  const wanted = tabs.find((a) => a.hash === location.hash) ?? tabs[0];
  for (const main of document.querySelectorAll("main")) main.hidden = `#${main.id}` !== wanted.hash;
  for (const a of tabs) {
    if (a === wanted) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
}

async function start() {
  const about = await ask("/v1/about");
  $("about").textContent = [about.model?.name, `segad ${about.version}`].filter(Boolean).join(" · ");
  const editor = startEditor(about.colours);
  if (about.runs.length) await startGallery(about.runs, editor);
  if (about.model) startInspect(about.model, about.largest_body);
  for (const a of $("tabs").children) {
    a.hidden = (a.hash === "#gallery" && !about.runs.length) || (a.hash === "#inspect" && !about.model);
  }
  addEventListener("hashchange", show);
  show();
  document.body.dataset.ready = "yes";
}

start().catch(problem);
