package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// collector reads a node's status and counts at every scrape.
type collector struct {
	status func() topology.Status
	counts func() topology.Counts
}

// metricsOf is what answers /metrics.
func metricsOf(o *Options) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{o.Status, o.Counts},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	built := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "triad_build", Help: "The version of the program; always 1.", ConstLabels: prometheus.Labels{"version": o.Version},
	})
	built.Set(1)
	r.MustRegister(built)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: surveyWait})
}

// family is one metric: its name, help, kind and labels.
func family(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("triad_"+name, help, labels, nil)
}

var (
	mTerm      = family("term", "The newest term this node knows.")
	mRole      = family("role", "1 for the role that this node has.", "role")
	mLSN       = family("lsn", "Places in this node's log.", "at")
	mLag       = family("lag", "How far this node is behind the leader, as it knows.", "unit")
	mStale     = family("stale_seconds", "Upper bound on how old what this node shows may be; absent if not known.")
	mPeerUp    = family("peer_up", "On the leader: 1 while it ships to that member.", "peer")
	mPeerSync  = family("peer_sync", "On the leader: 1 if commits wait for that member or may count it.", "peer")
	mPeerLSN   = family("peer_lsn", "On the leader: how far a member is.", "peer", "at")
	mPeerLag   = family("peer_lag", "On the leader: how far a member is behind.", "peer", "unit")
	mReached   = family("leader_reached_seconds", "On the leader: seconds since as many as a commit needs were last heard of.")
	mPaused    = family("failover_paused", "1 while nobody is made leader but by hand.")
	mSilence   = family("leader_silence_seconds", "On a follower: for how long its leader was silent, between two words of it.")
	mLease     = family("lease_seconds", "On the leader: seconds for which it may still answer reads by itself; 0 without a lease.")
	mUndefined = family("tables_undefined", "Tables of this node's configuration that are not defined yet.")
	mSiteUp    = family("site_link_up", "On the leader of a site: 1 while its link to another one works.", "site")
	mSiteLag   = family("site_lag_records", "On the leader of a site: records that another one has and this one has not, or the other way round.", "site", "who")
	mFsyncs    = family("log_fsyncs_total", "Times the log was made durable.")
	mLogBytes  = family("log_bytes", "Bytes of the log's entries.")
	mStore     = family("store_bytes", "Bytes of the store's files.")
	mPending   = family("pending_write_bytes", "Bytes of writes that were accepted and not answered yet.")
	mPendMax   = family("pending_write_bytes_max", "How many there may be.")
	mReads     = family("reads_total", "Reads that were answered here, by the consistency asked for.", "consistency")
	mWrites    = family("writes_total", "Writes that were acknowledged here.")
	mErrors    = family("errors_total", "Calls that failed here, by reason and outcome.", "reason", "outcome")
	mLost      = family("failover_lost_records", "Records that were cut from this node's log, and are kept in side files.")
	mLostBytes = family("failover_lost_bytes", "Bytes of them.")
	mWaiting   = family("rewind_waiting_records", "Records of a rewind that waits for an operator.")
	mConflicts = family("conflicts_total", "Meetings of concurrent writes of several sites that this node applied, by the table, what met, and what settled it.", "table", "type", "resolver")
	mLosers    = family("conflict_losers_total", "Writes that lost in them: nobody is shown them any more.", "table", "type", "resolver")
	mConfBytes = family("conflict_list_bytes", "Bytes of the list of conflicts.")
	mHeld      = family("table_quarantined", "1 for each table whose resolver is quarantined.", "table")
	mFaults    = family("resolver_faults_total", "On the leader of a site: sets of concurrent writes of which a resolver failed.", "table")
	mRepairs   = family("repair_total", "Without a leader: what came of comparing replicas: parts compared, times all was read again, sums corrected, cells that differed and that were mended, cells whose deletes were forgotten, values that were due.", "what")
	mUnclear   = family("repair_unclear_cells", "Without a leader: cells of the last comparison of which it is not known which replica is right.")
	mRepBytes  = family("repair_bytes_total", "Bytes that comparing has read and sent.")
	mRepPaused = family("repair_paused_seconds_total", "Seconds for which comparing stopped because requests were slow.")
	mDamage    = family("damaged_files", "Damages that the last scrub has found.")
)

// Describe implements prometheus.Collector. What is collected depends on the role,
// so nothing is announced.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s, n := c.status(), c.counts()
	e := exposition(func(m prometheus.Metric) { ch <- m })
	e.node(&s)
	for i := range s.Peers {
		e.peer(&s.Peers[i])
	}
	e.counted(&n)
}

// exposition takes metrics one after another.
type exposition func(prometheus.Metric)

func (e exposition) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e(prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
}

func (e exposition) count(d *prometheus.Desc, v uint64, labels ...string) {
	e(prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...))
}

func (e exposition) lag(d *prometheus.Desc, l topology.Lag, labels ...string) {
	e.gauge(d, float64(l.Records), append(labels[:len(labels):len(labels)], "records")...)
	e.gauge(d, float64(l.Bytes), append(labels[:len(labels):len(labels)], "bytes")...)
	e.gauge(d, l.Time.Seconds(), append(labels[:len(labels):len(labels)], "seconds")...)
}

func (e exposition) node(s *topology.Status) {
	e.gauge(mTerm, float64(s.Term))
	for _, r := range []topology.Role{topology.RoleLeader, topology.RoleFollower, topology.RoleReadReplica, topology.RoleWitness, topology.RoleCandidate, topology.RoleReplica, topology.RoleRemoved, topology.RoleFailed} {
		e.gauge(mRole, oneIf(s.Role == r), string(r))
	}
	for at, lsn := range map[string]record.LSN{"first": s.First, "end": s.End, "flushed": s.Flushed, "commit": s.Commit, "applied": s.Applied} {
		e.gauge(mLSN, float64(lsn), at)
	}
	e.lag(mLag, s.Lag)
	if s.Stale >= 0 {
		e.gauge(mStale, s.Stale.Seconds())
	}
	if s.Role == topology.RoleLeader && !s.Reached.IsZero() {
		e.gauge(mReached, max(0, time.Since(s.Reached).Seconds()))
	}
	e.gauge(mPaused, oneIf(s.Paused))
	e.gauge(mLease, s.Lease.Seconds())
	e.gauge(mUndefined, float64(len(s.Undefined)))
	e.gauge(mDamage, float64(len(s.Scrub.Damage)))
	for i := range s.Sites {
		if x := &s.Sites[i]; !x.Own && x.State != "idle" {
			e.gauge(mSiteUp, oneIf(x.State == "up"), x.Site)
			e.gauge(mSiteLag, float64(x.Behind.Records), x.Site, "behind")
			e.gauge(mSiteLag, float64(x.Ahead.Records), x.Site, "ahead")
		}
	}
}

// silences is a histogram, whose classes count all that is shorter.
func (e exposition) silences(s *topology.Silences) {
	var n uint64
	classes := make(map[float64]uint64, len(topology.SilenceBounds))
	for i, bound := range topology.SilenceBounds {
		n += s.Counts[i]
		classes[bound.Seconds()] = n
	}
	n += s.Counts[len(topology.SilenceBounds)]
	if n > 0 {
		e(prometheus.MustNewConstHistogram(mSilence, n, s.Sum.Seconds(), classes))
	}
}

func (e exposition) peer(p *topology.PeerStatus) {
	id := string(p.Node)
	e.gauge(mPeerUp, oneIf(p.State != "down" && p.State != "refused"), id)
	e.gauge(mPeerSync, oneIf(p.Sync), id)
	for at, lsn := range map[string]record.LSN{"sent": p.Sent, "written": p.Written, "flushed": p.Flushed, "applied": p.Applied} {
		e.gauge(mPeerLSN, float64(lsn), id, at)
	}
	e.lag(mPeerLag, p.Lag, id)
}

func (e exposition) counted(n *topology.Counts) {
	e.count(mFsyncs, n.Fsyncs)
	e.gauge(mLogBytes, float64(n.LogBytes))
	e.gauge(mStore, float64(n.StoreBytes))
	e.gauge(mPending, float64(n.Pending.Bytes))
	e.gauge(mPendMax, float64(n.Pending.BytesMax))
	for g, v := range n.Reads {
		e.count(mReads, v, topology.Guarantee(g).String())
	}
	e.count(mWrites, n.Writes)
	for what, v := range n.Errors {
		reason, outcome, _ := strings.Cut(what, "/")
		e.count(mErrors, v, reason, outcome)
	}
	e.gauge(mLost, float64(n.Rewound.Records))
	e.gauge(mLostBytes, float64(n.Rewound.Bytes))
	e.gauge(mWaiting, float64(n.Rewound.Waiting))
	e.conflicts(&n.Conflicts)
	e.silences(&n.Silences)
	if n.Repairs != nil {
		e.repairs(n.Repairs)
	}
}

func (e exposition) repairs(n *topology.RepairCounts) {
	for what, v := range map[string]uint64{
		"compared": n.Rounds, "reread": n.Rereads, "corrected": n.Corrected, "differed": n.Differ, "mended": n.Mended, "collected": n.Collected, "expired": n.Expired,
	} {
		e.count(mRepairs, v, what)
	}
	e.gauge(mUnclear, float64(n.Unclear))
	e.count(mRepBytes, n.Bytes)
	e(prometheus.MustNewConstMetric(mRepPaused, prometheus.CounterValue, n.Paused.Seconds()))
}

func (e exposition) conflicts(n *topology.ConflictCounts) {
	for _, c := range n.Counts {
		e.count(mConflicts, c.Met, c.Table, string(c.Type), c.Resolver)
		e.count(mLosers, c.Lost, c.Table, string(c.Type), c.Resolver)
	}
	if n.Faults != nil {
		e.gauge(mConfBytes, float64(n.Bytes))
	}
	for _, table := range n.Quarantined {
		e.gauge(mHeld, 1, table)
	}
	for table, v := range n.Faults {
		e.count(mFaults, v, table)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
