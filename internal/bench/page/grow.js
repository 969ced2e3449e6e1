"use strict";
(() => {
	const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	const hues = [210, 25, 130, 340, 275];
	const curves = (growth.curves || []).filter(c => c.steps.some(s => (s.runs || []).length));
	const names = [...new Set(curves.map(c => c.subject))];
	const colour = s => `hsl(${hues[names.indexOf(s) % hues.length]} 65% 50%)`;
	function el(name, text, kind) {
		const e = document.createElement(name);
		if (text !== undefined) e.textContent = text;
		if (kind) e.className = kind;
		return e;
	}
	function median(vs) {
		vs = [...vs].sort((a, b) => a - b);
		const n = vs.length;
		return n % 2 ? vs[(n - 1) / 2] : (vs[n / 2 - 1] + vs[n / 2]) / 2;
	}
	const write = (r, q) => ((r.latency || {}).write || {})[q];
	const measures = [
		["bytes between nodes a write", false, r => r.cost.wire_bytes], ["messages a write", false, r => r.cost.messages], ["bytes on disk a write", false, r => r.cost.disk_bytes],
		["syncs a write", false, r => r.cost.syncs], ["CPU µs a write", false, r => r.cost.cpu_us],
		["writes/s", true, r => r.seconds ? r.ops / r.seconds : 0], ["p50 ms", true, r => write(r, "p50")], ["p99 ms", true, r => write(r, "p99")],
	];
	const axis = more => Object.assign({ stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") } }, more);
	const short = v => v >= 1e6 ? +(v / 1e6).toPrecision(3) + "M" : v >= 1e3 ? +(v / 1e3).toPrecision(3) + "k" : String(+v.toPrecision(3));
	const main = document.getElementById("curves");
	for (const name of [...new Set(curves.map(c => c.axis))]) {
		const of = curves.filter(c => c.axis === name);
		const section = main.appendChild(el("section"));
		section.appendChild(el("h2", name));
		for (const c of of) section.appendChild(el("p", `${c.subject}: ${c.promise}`, "small"));
		const box = section.appendChild(el("div", undefined, "charts"));
		for (const [what, speed, value] of measures) {
			if (speed && !of.some(c => c.speed)) continue;
			const x = [...new Set(of.flatMap(c => c.steps.filter(s => (s.runs || []).length).map(s => s.x)))].sort((a, b) => a - b);
			const series = [{ label: name, value: (_, v) => v === null ? "–" : short(v) }], data = [x];
			for (const c of of) {
				const at = new Map(c.steps.filter(s => (s.runs || []).length).map(s => [s.x, median(s.runs.map(value).filter(v => v !== undefined))]));
				const fit = (c.fits || []).find(f => f.what === what);
				const ys = x.map(v => at.get(v) > 0 ? at.get(v) : null);
				if (ys.every(v => v === null)) continue;
				series.push({ label: fit ? `${c.subject} ~x^${fit.slope.toFixed(2)} ±${fit.spread.toFixed(2)}` : c.subject, stroke: colour(c.subject), width: 2, points: { show: true, size: 7 }, spanGaps: true, value: (_, v) => v === null ? "–" : short(v) });
				data.push(ys);
				if (!fit) continue;
				// The fitted line goes through the middle of the points, in logarithms.
				const known = x.map((v, i) => [Math.log(v), ys[i]]).filter(p => p[1] !== null).map(p => [p[0], Math.log(p[1])]);
				const mx = known.reduce((n, p) => n + p[0], 0) / known.length, my = known.reduce((n, p) => n + p[1], 0) / known.length;
				series.push({ label: "fitted", stroke: colour(c.subject), width: 1, dash: [6, 5], points: { show: false }, value: (_, v) => v === null ? "–" : short(v) });
				data.push(x.map(v => Math.exp(my + fit.slope * (Math.log(v) - mx))));
			}
			if (data.length < 2) continue;
			const chart = box.appendChild(el("div", undefined, "chart"));
			chart.appendChild(el("h3", what));
			const log = { distr: 3, log: 10 };
			new uPlot({
				width: Math.max(chart.clientWidth - 16, 320), height: 260, series, scales: { x: Object.assign({ time: false }, log), y: log },
				axes: [axis({ values: (_, vs) => vs.map(v => v === null ? "" : short(v)) }), axis({ values: (_, vs) => vs.map(v => v === null ? "" : short(v)), size: 60 })],
			}, data, chart);
		}
	}
	const knees = document.getElementById("knees");
	for (const c of curves) {
		if (!c.knee) {
			if (c.knee_none) knees.appendChild(el("p", `${c.subject}: none; ${c.knee_none}`));
			continue;
		}
		knees.appendChild(el("h3", `${c.subject}: ${c.knee.x} clients, ${short(c.knee.ops)} writes/s`));
		knees.appendChild(el("p", c.knee.limit));
		const t = knees.appendChild(el("table")), head = t.appendChild(el("thead")).appendChild(el("tr")), body = t.appendChild(el("tbody"));
		for (const h of ["function", "itself", "with what it calls"]) head.appendChild(el("th", h));
		for (const h of c.knee.top || []) {
			const tr = body.appendChild(el("tr"));
			tr.appendChild(el("td", h.function));
			for (const v of [h.flat, h.cum]) tr.appendChild(el("td", (100 * v).toFixed(1) + " %", "n"));
		}
		knees.appendChild(el("p", `Of ${c.knee.sample.toFixed(1)} s of CPU that the profile has seen.`, "small"));
	}
	if (!knees.childNodes.length) knees.appendChild(el("p", "clients were not varied", "small"));
})();
