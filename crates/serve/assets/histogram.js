// Scores of good images upwards, of bad ones downwards, and a threshold that can be dragged.
import { svg, short } from "/app.js";

const [WIDTH, MIDDLE, HIGH, SIDE, BINS] = [600, 100, 85, 12, 40];

/** Draws into `root`; `moved` hears of every new threshold. */
export function histogram(root, items, moved) {
  const scores = items.score;
  let [low, high] = [Infinity, -Infinity];
  for (const s of scores) [low, high] = [Math.min(low, s), Math.max(high, s)];
  if (!(low <= high)) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const span = high - low;
  const toX = (value) => SIDE + ((WIDTH - 2 * SIDE) * (value - low)) / span;
  const toValue = (x) => low + (span * (x - SIDE)) / (WIDTH - 2 * SIDE);

  const bins = { good: new Array(BINS).fill(0), bad: new Array(BINS).fill(0) };
  scores.forEach((s, i) => {
    bins[items.label[i]][Math.min(BINS - 1, Math.floor((BINS * (s - low)) / span))] += 1;
  });
  const most = Math.max(1, ...bins.good, ...bins.bad);
  const width = (WIDTH - 2 * SIDE) / BINS;
  const bars = ["good", "bad"].flatMap((label) =>
    bins[label].map((n, i) => {
      const size = (HIGH * n) / most;
      const y = label === "good" ? MIDDLE - size : MIDDLE;
      return svg("rect", { class: label, x: SIDE + i * width + 0.5, y, width: width - 1, height: size },
        svg("title", {}, `${n} ${label}, ${short(low + (i * span) / BINS)} to ${short(low + ((i + 1) * span) / BINS)}`));
    }));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) =>
    svg("text", { x: toX(low + t * span), y: 214, "text-anchor": t === 0 ? "start" : t === 1 ? "end" : "middle" },
      short(low + t * span)));
  const handle = svg("g", {
    class: "handle", role: "slider", tabindex: 0, "aria-label": "threshold",
    "aria-valuemin": low, "aria-valuemax": high,
  },
  svg("rect", { x: -9, y: 0, width: 18, height: 200 }),
  svg("line", { x1: 0, x2: 0, y1: 0, y2: 200 }),
  svg("circle", { cx: 0, cy: 8, r: 7 }));
  root.replaceChildren(
    ...bars,
    svg("line", { class: "axis", x1: SIDE, x2: WIDTH - SIDE, y1: MIDDLE, y2: MIDDLE }),
    svg("text", { x: WIDTH - SIDE, y: 12, "text-anchor": "end" }, "good ↑"),
    svg("text", { x: WIDTH - SIDE, y: 196, "text-anchor": "end" }, "bad ↓"),
    ...ticks, handle);

  let current = low;
  const place = (value) => {
    current = value;
    const inside = Math.min(high, Math.max(low, value));
    handle.setAttribute("transform", `translate(${toX(inside)} 0)`);
    handle.setAttribute("aria-valuenow", value);
  };
  const fromPointer = (event) => {
    const box = root.getBoundingClientRect();
    const x = ((event.clientX - box.left) * WIDTH) / box.width;
    const value = Math.min(high, Math.max(low, toValue(x)));
    place(value);
    moved(value);
  };
  root.onpointerdown = (event) => {
    root.setPointerCapture(event.pointerId);
    fromPointer(event);
    handle.focus();
    event.preventDefault();
  };
  root.onpointermove = (event) => root.hasPointerCapture(event.pointerId) && fromPointer(event);
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (!step) return;
    const value = Math.min(high, Math.max(low, current + (step * span) / 200));
    place(value);
    moved(value);
    event.preventDefault();
  });
  return { place };
}
