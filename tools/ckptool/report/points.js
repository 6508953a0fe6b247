// From the series and checkpoints of a run to the points of a curve.

// Where a point of a run stands on the axis of epochs. Epochs are counted when they are complete, so
// what was logged within one stands between two numbers, by its step.
class EpochAxis {
  constructor(run) {
    const first = new Map();
    const see = (epoch, step) => {
      if (!first.has(epoch) || step < first.get(epoch)) first.set(epoch, step);
    };
    for (const series of run.series) {
      series.epoch.forEach((epoch, i) => see(epoch, series.step[i]));
    }
    for (const each of run.checkpoints) see(each.epoch, each.step);
    this.first = first;
  }

  x(epoch, step) {
    const begin = this.first.get(epoch);
    const end = this.first.get(epoch + 1);
    if (begin === undefined || end === undefined || end <= begin) return epoch;
    return epoch + Math.min(Math.max((step - begin) / (end - begin), 0), 1);
  }
}

// A run's curve of one metric: points {x, y, step, epoch, value}, y being NaN where a line must break.
// `axis`: "step" or "epoch".
class Curve {
  constructor(run, metric, axis, logarithmic) {
    this.run = run;
    this.logarithmic = logarithmic;
    this.notShown = 0;  // of no height on a logarithmic axis
    const epochs = new EpochAxis(run);
    this.x = axis === "step" ? (epoch, step) => step : (epoch, step) => epochs.x(epoch, step);
    this.series = run.series.find((series) => series.name === metric) ?? null;
    this.fromCheckpoints = this.series === null;
    const source = this.series ?? this.checkpointSeries(metric);
    this.points = this.pointsOf(source);
    this.superseded = source.superseded ? this.pointsOf(source.superseded) : [];
    this.nonfinite = this.points.filter((point) => typeof point.value === "string");
    this.placeNonfinite();
    this.checkpoints = this.checkpointPoints(metric);
    this.resumes = this.resumePoints();
  }

  get empty() { return this.points.length === 0 && this.superseded.length === 0; }

  // Runs that log nothing have what their checkpoints say.
  checkpointSeries(metric) {
    const series = {step: [], epoch: [], value: []};
    for (const each of this.run.checkpoints) {
      const value = valueOf(each.metrics, metric);
      if (value === null || each.flags.includes("superseded")) continue;
      series.step.push(each.step);
      series.epoch.push(each.epoch);
      series.value.push(value);
    }
    return series;
  }

  height(value) {
    if (typeof value === "string") return NaN;
    if (!this.logarithmic || value > 0) return value;
    ++this.notShown;
    return NaN;
  }

  pointsOf(series) {
    return series.value.map((value, i) => ({
      x: this.x(series.epoch[i], series.step[i]), y: this.height(value), value,
      step: series.step[i], epoch: series.epoch[i], run: this.run,
    }));
  }

  // The height of the curve at x: of the nearest point before it that has one, else behind it.
  heightAt(x) {
    let before = NaN;
    for (const point of this.points) {
      if (Number.isNaN(point.y)) continue;
      if (point.x > x) return Number.isNaN(before) ? point.y : before;
      before = point.y;
    }
    return Number.isNaN(before) ? 1 : before;
  }

  placeNonfinite() {
    this.nonfinite = this.nonfinite.map((point) => ({...point, y: this.heightAt(point.x)}));
  }

  // On the curve, or where their own metric says.
  checkpointPoints(metric) {
    return this.run.checkpoints.map((each) => {
      const x = this.x(each.epoch, each.step);
      const value = valueOf(each.metrics, metric);
      const own = typeof value === "number" ? this.height(value) : NaN;
      return {x, y: Number.isNaN(own) ? this.heightAt(x) : own, value, step: each.step,
              epoch: each.epoch, run: this.run, checkpoint: each};
    });
  }

  // Where an attempt began from a checkpoint that is not there any more.
  resumePoints() {
    return this.run.attempts.filter((attempt) => attempt.from?.gone && attempt.first)
        .map((attempt) => {
          const {step, epoch} = attempt.first;
          const x = this.x(epoch, step);
          return {x, y: this.heightAt(x), value: null, step, epoch, run: this.run, attempt};
        });
  }

  get last() { return this.points.at(-1) ?? null; }

  extreme(better) {
    return this.points.reduce((best, point) => {
      if (typeof point.value !== "number") return best;
      return best === null || better(point.value, best.value) ? point : best;
    }, null);
  }
}

// Of all runs, those with a direction first.
function metricNames(runs) {
  const declared = new Set(), names = new Set();
  for (const run of runs) {
    if (run.best_metric !== "") declared.add(run.best_metric);
    for (const metric of Object.keys(run.directions)) declared.add(metric);
    for (const series of run.series) names.add(series.name);
    for (const each of run.checkpoints) each.metrics.forEach(([name]) => names.add(name));
  }
  const first = [...declared].filter((name) => names.has(name));
  return [...first, ...[...names].filter((name) => !declared.has(name)).sort()];
}
