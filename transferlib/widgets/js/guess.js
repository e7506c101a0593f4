// Draw your guess: the reader's own curve first, by pointer or by seven sliders; then what was measured, over it.

function guess(data, form, draw, svg, figure) {
  const mine = data.truth.map(() => 0), [low, high] = data.reach;
  let shown = false, on;
  form.before(svg); // the picture first: the sliders are another way to draw
  const sliders = data.truth.map(([n], i) =>
    slide(form, `n = ${n}`, values(low, high), -low, step => { mine[i] = step + low; draw(); }));
  const button = add(form, "button", { type: "button" }, "Show what was measured");
  button.addEventListener("click", () => { shown = !shown; button.textContent = shown ? "Hide it again" : "Show what was measured"; draw(); });

  function drawn(x, y) {
    const i = data.truth.reduce((best, [n], k) => (Math.abs(on.X(n) - x) < Math.abs(on.X(data.truth[best][0]) - x) ? k : best), 0);
    const value = high - ((y - on.top) / (on.bottom - on.top)) * (high - low);
    sliders[i].set(Math.round(Math.max(low, Math.min(high, value))) - low);
  }

  return {
    draw(_, width) {
      const height = Math.round(Math.min(320, 0.75 * width));
      on = plane(svg, { width, height, x: [0.7, 7.3], y: [low, high], at: [1, 2, 3, 4, 5, 6, 7], xlabel: "n, layers copied", ylabel: "top-1 minus base (points)" });
      level(svg, on, 0, "base");
      if (shown) curve(svg, on, data.truth, data.family);
      const path = mine.map((y, i) => `${i ? "L" : "M"}${on.X(data.truth[i][0])} ${on.Y(y)}`).join("");
      add(svg, "path", { d: path, fill: "none", stroke: "var(--ink)", "stroke-width": 2, "stroke-dasharray": "2 4", class: "guess" });
      mine.forEach((y, i) => add(svg, "circle", { cx: on.X(data.truth[i][0]), cy: on.Y(y), r: 7, fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 2 }));
      const ground = add(svg, "rect", { class: "draw", x: on.left, y: on.top, width: on.right - on.left, height: on.bottom - on.top, fill: "transparent" });
      follow(svg, ground, drawn);
      return height;
    },
    words() {
      if (!shown) return `Draw ${data.family} into the picture, or set the sliders; then look. Nobody is told what you guessed.`;
      const off = mine.map((y, i) => y - data.truth[i][1]), worst = off.reduce((k, value, i) => (Math.abs(value) > Math.abs(off[k]) ? i : k), 0);
      const mean = off.reduce((sum, value) => sum + value, 0) / off.length, n = data.truth[worst][0];
      const side = Math.abs(mean) < 0.5 ? "In the mean over n you were right to half a point" : `In the mean over n you drew it ${Math.abs(mean).toFixed(1)} points too ${mean > 0 ? "high" : "low"}`;
      return `${side}; furthest off at n = ${n}, where you have ${signed(mine[worst])} and measured was ${signed(data.truth[worst][1])} points. ${data.sentence}`;
    },
  };
}

function values(low, high) {
  return Array.from({ length: high - low + 1 }, (_, i) => `${signed(low + i, 0)} points`);
}
