"use strict";
(() => {
	const cells = report.cells.filter(c => c.runs && c.runs.length);
	const unique = of => [...new Set(cells.map(of))];
	const subjects = unique(c => c.subject), workloads = unique(c => c.workload);
	const levels = ["any", "session", "linearizable"];
	const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	const hues = [210, 25, 130, 340, 275, 50, 180, 0, 95, 235];
	const colour = s => { const i = subjects.indexOf(s); return `hsl(${hues[i % hues.length]} 65% ${i >= hues.length ? 70 : 50}%)`; };

	function el(name, text, kind) {
		const e = document.createElement(name);
		if (text !== undefined) e.textContent = text;
		if (kind) e.className = kind;
		return e;
	}
	function median(vs) {
		if (!vs.length) return undefined;
		vs = [...vs].sort((a, b) => a - b);
		const n = vs.length;
		return n % 2 ? vs[(n - 1) / 2] : (vs[n / 2 - 1] + vs[n / 2]) / 2;
	}
	const over = (c, of) => median(c.runs.map(of).filter(v => v !== undefined));
	const sum = (c, of) => c.runs.reduce((n, r) => n + (of(r) || 0), 0);
	function num(v) {
		if (v === undefined || v === null || Number.isNaN(v)) return "–";
		if (v === 0) return "0";
		return v >= 100 ? Math.round(v).toLocaleString("en") : v >= 10 ? v.toFixed(1) : v.toFixed(2);
	}
	function share(part, whole) {
		if (!whole) return "–";
		if (!part) return "0";
		const p = 100 * part / whole;
		return p < 0.1 ? "<0.1 %" : p.toFixed(1) + " %";
	}
	function table(id, header, rows) {
		const t = el("table"), head = t.appendChild(el("thead")).appendChild(el("tr")), body = t.appendChild(el("tbody"));
		for (const h of header) head.appendChild(el("th", h));
		for (const row of rows) {
			const tr = body.appendChild(el("tr"));
			row.forEach(v => {
				const cell = typeof v === "object" ? v : { text: v };
				const td = tr.appendChild(el("td", cell.text, (/^[\d<–]/.test(cell.text) ? "n " : "") + (cell.kind || "")));
				if (cell.title) td.title = cell.title;
			});
		}
		const at = document.getElementById(id);
		if (rows.length) at.appendChild(t); else at.appendChild(el("p", "nothing of this was measured", "small"));
	}
	const each = f => workloads.flatMap(w => subjects.map(s => cells.find(c => c.workload === w && c.subject === s)).filter(Boolean).map(f).filter(Boolean));

	// Tables.
	const ops = r => r.seconds ? r.ops / r.seconds : 0;
	const took = (c, class_, of) => { const v = over(c, r => r.latency[class_] && r.latency[class_][of]); return num(v); };
	table("speed-table", ["work", "subject", "promise", "reads", "ops/s", "±", "write p50", "p90", "p99", "p99.9", "max", "read p50", "p99", "p99.9", "max", "failed", "unknown"], each(c => {
		const all = c.runs.map(ops), m = median(all), off = all.length > 1 && m ? (Math.max(...all) - Math.min(...all)) / 2 / m : 0;
		const read = c.runs[0].latency.scan ? "scan" : "read";
		return [c.workload, c.subject, { text: c.promise, kind: "small" }, c.read, num(m), Math.round(100 * off) + " %",
			...["p50", "p90", "p99", "p999", "max"].map(q => took(c, "write", q)), ...["p50", "p99", "p999", "max"].map(q => took(c, read, q)),
			String(sum(c, r => r.failed)), String(sum(c, r => r.unknown))];
	}));
	table("cost-table", ["work", "subject", "syncs", "bytes on disk", "bytes on the wire", "messages", "CPU µs", "allocations"], each(c =>
		[c.workload, c.subject, ...["syncs", "disk_bytes", "wire_bytes", "messages", "cpu_us", "allocs"].map(k => { const v = over(c, r => r.cost[k]); return c.via && !v ? "–" : num(v); })]));
	const found = (s, what, level) => cells.filter(c => c.subject === s).flatMap(c => c.anomalies || []).filter(a => a.what === what && (a.level || "") === level);
	function verdict(as) {
		const judged = as.reduce((n, a) => n + a.judged, 0), seen = as.reduce((n, a) => n + a.found, 0), forbidden = as.some(a => a.forbidden);
		const title = (as.find(a => a.example) || {}).example || "";
		if (!judged) return "–";
		if (forbidden && seen) return { text: "broken: " + seen, kind: "broken", title };
		if (!seen && as.some(a => a.undecided)) return "undecided";
		if (forbidden) return { text: "never", kind: "never" };
		return { text: share(seen, judged), title };
	}
	const all = cells.flatMap(c => c.anomalies || []);
	const ofReads = [...new Set(all.filter(a => a.level).map(a => a.what))], ofWrites = [...new Set(all.filter(a => !a.level).map(a => a.what))];
	table("anomaly-table", ["subject", "reads", ...ofReads], subjects.flatMap(s => levels.filter(l => cells.some(c => c.subject === s && (c.anomalies || []).some(a => a.level === l))).map(l => [s, l, ...ofReads.map(w => verdict(found(s, w, l)))])));
	table("write-table", ["work", "subject", ...ofWrites, "conflicts", "converged after ms"], each(c => {
		const met = {};
		for (const r of c.runs) for (const [k, n] of Object.entries(r.conflicts || {})) met[k] = (met[k] || 0) + n;
		return [c.workload, c.subject, ...ofWrites.map(w => verdict((c.anomalies || []).filter(a => a.what === w))),
			Object.entries(met).map(([k, n]) => n + " " + k).join(", ") || "–", num(over(c, r => r.converged_ms))];
	}));
	table("fault-table", ["fault", "work", "subject", "hit", "write p50 ms meanwhile", "p99", "nobody wrote for s", "worst site", "it did not write for s", "nor read for s", "acknowledged and lost"], (report.faults || []).flatMap((f, i) => each(c => {
		const first = (c.runs[0].faults || [])[i];
		if (!first) return null;
		const of = k => num(over(c, r => r.faults && r.faults[i] && r.faults[i][k]));
		return [`${f.name}: ${f.do} ${f.who.join(", ")}, at ${f.at} s for ${f.for} s`, c.workload, c.subject, (first.hit || []).join(", "), of("write_p50_ms"), of("write_p99_ms"), of("anywhere_s"), first.worst_site || "–", of("no_write_s"), of("no_read_s"), String(sum(c, r => r.lost))];
	})));

	// Charts.
	const axis = more => Object.assign({ stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") } }, more);
	function chart(id, title, x, series, options) {
		if (!series.length) return;
		const box = document.getElementById(id).appendChild(el("div", undefined, "chart"));
		box.appendChild(el("h3", title));
		const shown = series.map(s => ({ label: s.label, stroke: s.colour, width: 2, dash: s.dash, points: { show: false }, spanGaps: true, paths: s.paths }));
		new uPlot(Object.assign({
			width: Math.max(box.clientWidth - 16, 320), height: 280, series: [{ label: options.x, value: options.value }, ...shown], cursor: { drag: { x: true, y: false } },
		}, options.plot), [x, ...series.map(s => s.values)], box);
	}
	const log = { distr: 3, log: 10 };
	const logTicks = { values: (_, ticks) => ticks.map(v => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? String(+v.toPrecision(1)) : "") };
	const positive = v => v === undefined || v === null ? null : Math.max(v, 0.001);

	// A curve's x is how often the share that took longer was halved.
	for (const w of workloads) for (const class_ of ["write", "read", "scan"]) {
		const lines = [];
		let steps = new Set();
		for (const c of cells.filter(c => c.workload === w)) {
			const run = c.runs.find(r => r.latency[class_]);
			if (!run) continue;
			const at = new Map();
			for (const r of c.runs) for (const q of (r.latency[class_] || { curve: [] }).curve || []) {
				if (q.q >= 1) continue;
				const k = Math.round(-2 * Math.log2(1 - q.q)) / 2;
				at.set(k, [...(at.get(k) || []), q.ms]);
				steps.add(k);
			}
			lines.push({ label: c.subject, colour: colour(c.subject), at });
		}
		const x = [...steps].sort((a, b) => a - b);
		if (x.length < 2) continue;
		const name = k => k === 0 ? "0 %" : (100 * (1 - Math.pow(0.5, k))).toFixed(k > 6 ? 3 : k > 3 ? 1 : 0) + " %";
		chart("latency-charts", `${w}: ${class_}s, ms`, x, lines.map(l => ({ ...l, values: x.map(k => positive(median(l.at.get(k) || []))) })), {
			x: "share", value: (_, v) => v === null ? "–" : name(v),
			plot: { scales: { x: { time: false }, y: log }, axes: [axis({ values: (_, ks) => ks.map(name), space: 60 }), axis(logTicks)] },
		});
	}
	const bands = { hooks: { drawClear: [u => {
		u.ctx.save();
		for (const f of report.faults || []) {
			const from = u.valToPos(f.at, "x", true), to = u.valToPos(f.at + f.for, "x", true);
			u.ctx.fillStyle = "rgba(200, 60, 40, .13)";
			u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
			u.ctx.fillStyle = css("--bad");
			u.ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
			u.ctx.fillText(f.name, from + 4, u.bbox.top + 14 * devicePixelRatio);
		}
		u.ctx.restore();
	}] } };
	function leaders(u) {
		u.ctx.save();
		u.ctx.setLineDash([6, 4]);
		for (const c of cells) for (const l of c.runs[0].leaders || []) {
			if (l.t < 0 || c.workload !== u.workload) continue;
			const x = u.valToPos(l.t, "x", true);
			u.ctx.strokeStyle = colour(c.subject);
			u.ctx.beginPath(); u.ctx.moveTo(x, u.bbox.top); u.ctx.lineTo(x, u.bbox.top + u.bbox.height); u.ctx.stroke();
		}
		u.ctx.restore();
	}
	for (const w of workloads) for (const what of ["w", "r"]) {
		const of = cells.filter(c => c.workload === w && c.runs[0].series && c.runs[0].series.some(p => p[what] > 0));
		if (!of.length) continue;
		const x = of[0].runs[0].series.map(p => p.t), step = x.length > 1 ? x[1] - x[0] : 1;
		chart("time-charts", `${w}: ${what === "w" ? "writes" : "reads"} a second`, x, of.map(c => ({ label: c.subject, colour: colour(c.subject), values: c.runs[0].series.map(p => p[what] / step) })), {
			x: "s", value: (_, v) => v === null ? "–" : v.toFixed(1) + " s",
			plot: { scales: { x: { time: false } }, axes: [axis({}), axis({ size: 60 })], hooks: { drawClear: bands.hooks.drawClear, draw: [u => { u.workload = w; leaders(u); }] } },
		});
	}
	if ((report.faults || []).length) for (const c of cells) {
		const run = c.runs[0], sites = Object.keys((run.series[0] || {}).sites || {});
		if (sites.length < 2) continue;
		const x = run.series.map(p => p.t), step = x.length > 1 ? x[1] - x[0] : 1;
		chart("time-charts", `${c.workload}: writes a second of ${c.subject}, by the site of who asked`, x, sites.map((s, i) => ({ label: s, colour: `hsl(${hues[(i + 3) % hues.length]} 55% 50%)`, values: run.series.map(p => (p.sites[s] || 0) / step) })), {
			x: "s", value: (_, v) => v === null ? "–" : v.toFixed(1) + " s",
			plot: { scales: { x: { time: false } }, axes: [axis({}), axis({ size: 60 })], hooks: bands.hooks },
		});
	}
	for (const l of levels) {
		const lines = [], at = [0, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000];
		for (const s of subjects) {
			let reads = 0;
			const no = at.map(() => 0);
			for (const c of cells.filter(c => c.subject === s)) for (const r of c.runs) {
				const st = (r.staleness || {})[l];
				if (!st) continue;
				reads += st.reads;
				for (const [i, ms] of at.entries()) {
					let k = 0; // the greatest share whose reads are no older
					if (st.reads > st.stale) k = 1 - st.stale / st.reads;
					for (const q of st.shares || []) if (q.ms <= ms) k = Math.max(k, q.q);
					no[i] += k * st.reads;
				}
			}
			const p = cells.filter(c => c.subject === s).flatMap(c => c.runs).map(r => ((r.staleness || {})[l] || {}).pbs_stale).find(v => v !== undefined);
			if (reads) lines.push({ label: p === undefined ? s : `${s} (PBS: ${(100 * (1 - p)).toFixed(0)} % at once)`, colour: colour(s), values: no.map(n => 100 * n / reads) });
		}
		const x = at.map((_, i) => i);
		chart("stale-charts", `reads that ask for: ${l}, %`, x, lines, {
			x: "no older than ms", value: (_, v) => v === null ? "–" : String(at[Math.round(v)]),
			plot: { scales: { x: { time: false }, y: { range: (_, lo) => [Math.min(lo, 90) , 100.5] } }, axes: [axis({ values: (_, vs) => vs.map(v => Number.isInteger(v) ? at[v] : "") }), axis({})] },
		});
	}
})();
