// The rate dial: the rate at which fresh layers start, and what the cut costs at it, in accuracy and in training loss.

function rate(data, form, draw) {
  let at = 0;
  slide(form, "peak rate of the fresh layers", data.rates.map(one => one.rate), at, value => { at = value; draw(); });
  const panels = [["top1", "top-1 − base (points)", 0], ["train_loss", "training loss − base (nats)", 1]];
  return {
    draw(svg, width) {
      const wide = width > 560, each = wide ? width / 2 : width, height = Math.round(Math.min(300, 0.8 * each));
      panels.forEach(([outcome, ylabel, digits], i) => {
        const panel = add(svg, "g", { transform: wide ? `translate(${i * each} 0)` : `translate(0 ${i * height})` });
        const y = reach(data.rates.flatMap(one => one[outcome]), [0]);
        const on = plane(panel, { width: each, height, x: [0.7, 7.3], y, at: [1, 2, 3, 4, 5, 6, 7], xlabel: "n, layers copied", ylabel, digits });
        level(panel, on, 0, "base");
        data.rates.forEach((one, k) => k !== at && curve(panel, on, one[outcome], "BnB", { faint: true }));
        curve(panel, on, data.rates[at][outcome], "BnB");
      });
      return wide ? height : 2 * height;
    },
    words: () => data.rates[at].words,
    all: () => data.rates.map(one => [one.rate, one.words]),
  };
}
