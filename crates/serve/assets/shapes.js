// The shapes of the editor: what each kind looks like, where it can be gripped, and its numbers.
import { svg } from "/app.js";

const round = (v) => Math.round(v * 10) / 10;
const least = (v) => Math.max(0.5, round(Math.abs(v)));

export const centre = (s) => {
  if (s.kind === "rectangle") return [s.x + s.width / 2, s.y + s.height / 2];
  if (s.kind !== "polygon") return s.centre;
  const sum = s.points.reduce(([a, b], [x, y]) => [a + x, b + y], [0, 0]);
  return sum.map((v) => v / s.points.length);
};

/** A shape between two corners of a drag. */
export function between(kind, segment, [x0, y0], [x1, y1]) {
  const [x, y] = [Math.min(x0, x1), Math.min(y0, y1)].map(round);
  const [width, height] = [least(x1 - x0), least(y1 - y0)];
  if (kind === "rectangle") return { kind, segment, x, y, width, height, rotate: 0 };
  const middle = [x + width / 2, y + height / 2].map(round);
  const radii = [least(width / 2), least(height / 2)];
  if (kind === "ellipse") return { kind, segment, centre: middle, radii, rotate: 0 };
  return { kind, segment, centre: middle, outer: radii, inner: radii.map((r) => least(r * 0.6)), rotate: 0 };
}

const oval = ([cx, cy], [a, b]) => `M${cx - a} ${cy}a${a} ${b} 0 1 0 ${2 * a} 0a${a} ${b} 0 1 0 ${-2 * a} 0Z`;

/** The outline as SVG, turned as the shape is. */
export function draw(s) {
  const node = {
    rectangle: () => svg("rect", { x: s.x, y: s.y, width: s.width, height: s.height }),
    ellipse: () => svg("ellipse", { cx: s.centre[0], cy: s.centre[1], rx: s.radii[0], ry: s.radii[1] }),
    ring: () => svg("path", { d: oval(s.centre, s.outer) + oval(s.centre, s.inner), "fill-rule": "evenodd" }),
    polygon: () => svg("polygon", { points: s.points.map((p) => p.join(",")).join(" "), "fill-rule": "evenodd" }),
  }[s.kind]();
  node.setAttribute("transform", turned(s));
  return node;
}

export const turned = (s) => (s.rotate ? `rotate(${s.rotate} ${centre(s).join(" ")})` : "");

/** A point of the picture in the coordinates in which the shape is not turned. */
export function unturned(s, [x, y]) {
  if (!s.rotate) return [x, y];
  const [cx, cy] = centre(s);
  const angle = (s.rotate * Math.PI) / 180;
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  return [cx + (x - cx) * cos + (y - cy) * sin, cy + (y - cy) * cos - (x - cx) * sin];
}

export function shift(s, dx, dy) {
  const move = ([x, y]) => [round(x + dx), round(y + dy)];
  if (s.kind === "rectangle") [s.x, s.y] = move([s.x, s.y]);
  else if (s.kind === "polygon") s.points = s.points.map(move);
  else s.centre = move(s.centre);
}

/** Where a shape can be gripped, and what a grip does when it is taken to a point. Sizes change about the centre. */
export function grips(s) {
  if (s.kind === "polygon") {
    return s.points.map((p, i) => ({ at: p, take: (to) => (s.points[i] = to.map(round)) }));
  }
  const c = centre(s);
  const half = (to) => [least(to[0] - c[0]), least(to[1] - c[1])];
  const corner = (r, take) => ({ at: [c[0] + r[0], c[1] + r[1]], take });
  if (s.kind === "rectangle") {
    return [corner([s.width / 2, s.height / 2], (to) => {
      const [a, b] = half(to);
      Object.assign(s, { x: round(c[0] - a), y: round(c[1] - b), width: round(2 * a), height: round(2 * b) });
    })];
  }
  if (s.kind === "ellipse") return [corner(s.radii, (to) => (s.radii = half(to)))];
  return [corner(s.outer, (to) => (s.outer = half(to))), corner(s.inner, (to) => (s.inner = half(to)))];
}

/** The numbers of a shape: name, value, and how to set it. */
export function numbers(s) {
  const one = (name) => ({ name, value: s[name], set: (v) => (s[name] = v) });
  const two = (key, names) => names.map((name, i) => ({ name, value: s[key][i], set: (v) => (s[key][i] = v) }));
  const kinds = {
    rectangle: () => [one("x"), one("y"), one("width"), one("height"), one("rotate")],
    ellipse: () => [...two("centre", ["centre x", "centre y"]), ...two("radii", ["radius x", "radius y"]), one("rotate")],
    ring: () => [...two("centre", ["centre x", "centre y"]), ...two("outer", ["outer x", "outer y"]),
      ...two("inner", ["inner x", "inner y"]), one("rotate")],
    polygon: () => s.points.flatMap((p, i) =>
      ["x", "y"].map((name, k) => ({ name: `${name}${i + 1}`, value: p[k], set: (v) => (p[k] = v) }))),
  };
  return kinds[s.kind]();
}
