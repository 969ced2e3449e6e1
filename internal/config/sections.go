package config

// The sections that node.yaml and cluster.yaml have alike. What is not said here
// of a field is said where the options are that it becomes.

// Control says who counts: the backend of the control documents.
type Control struct {
	Kind      string   `yaml:"kind" default:"static"`
	Leader    string   `yaml:"leader"` // of the first term, where nobody is elected
	Voters    []string `yaml:"voters"`
	Heartbeat Duration `yaml:"heartbeat" default:"300ms"`

	Options ControlOptions `yaml:",inline"` // of a kind that this package does not know; nil for others
}

// Topology says how the log is replicated. It is the same on every node.
type Topology struct {
	Kind string `yaml:"kind" default:"single-leader"`
	Across
	Quorums
	Sync             Sync       `yaml:"sync" default:"async"`
	Durability       Durability `yaml:"durability" default:"flushed"`
	PendingBytesMax  Size       `yaml:"pending_bytes_max" default:"32MiB"`
	RetainBytesMax   Size       `yaml:"retain_bytes_max" default:"1GiB"`
	RewindRecordsMax int        `yaml:"rewind_records_max" default:"10000000"`
	RewindBytesMax   Size       `yaml:"rewind_bytes_max" default:"1GiB"`
	CallTimeout      Duration   `yaml:"call_timeout" default:"3s"`
	RetryEvery       Duration   `yaml:"retry_every" default:"200ms"`
	FailAfter        Duration   `yaml:"fail_after" default:"500ms"`
	DropAfter        Duration   `yaml:"drop_after" default:"0"`  // 0 is as fail_after
	HangAfter        Duration   `yaml:"hang_after" default:"0"`  // 0 is four times fail_after
	MinReign         Duration   `yaml:"min_reign" default:"0"`   // 0 is none
	MinInSync        int        `yaml:"min_in_sync" default:"0"` // 0 is as many as the policy names and the leader
	FailFast         bool       `yaml:"fail_fast" default:"false"`
	Lent
	Hooks  Hooks  `yaml:"hooks"`
	Stream Stream `yaml:"stream"`
}

// Across says how sites exchange, where several write.
type Across struct {
	Sites         []SiteNumber `yaml:"sites"`
	Joins         bool         `yaml:"joins" default:"false"`
	Expects       []string     `yaml:"expects"`
	Links         Links        `yaml:"links" default:"mesh"`
	MaxSkew       Duration     `yaml:"max_skew" default:"500ms"`
	TickEvery     Duration     `yaml:"tick_every" default:"50ms"`
	CutEvery      Duration     `yaml:"cut_every" default:"10s"`
	ConflictsKept Duration     `yaml:"conflicts_kept" default:"168h"`
	SnapshotKept  Duration     `yaml:"snapshot_kept" default:"5m"`
	VerifyEvery   Duration     `yaml:"verify_every" default:"24h"`

	ConflictsBytesMax Size     `yaml:"conflicts_bytes_max" default:"256MiB"`
	FoldTimeMax       Duration `yaml:"fold_time_max" default:"10s"`
	ExpiryGrace       Duration `yaml:"expiry_grace" default:"5s"`

	ReadOnly []string `yaml:"read_only"` // sites
}

// Quorums say how many replicas a key has where nobody leads, and how many of them a
// request waits for.
type Quorums struct {
	Replicas   int         `yaml:"replicas" default:"3"`
	Partitions int         `yaml:"partitions" default:"32"`
	Write      Consistency `yaml:"write" default:"quorum"`
	Read       Consistency `yaml:"read" default:"quorum"`
	Repair     Repair      `yaml:"repair" default:"async"`
	HedgeAfter Duration    `yaml:"hedge_after" default:"50ms"`
	MovesMax   int         `yaml:"moves_max" default:"4"`
	MoveBytes  Size        `yaml:"move_bytes_per_sec" default:"0"`
	AntiEntropy
}

// AntiEntropy says how replicas compare by themselves what they hold.
type AntiEntropy struct {
	RepairEvery       Duration `yaml:"repair_every" default:"1h"`   // 0 is never
	RereadEvery       Duration `yaml:"reread_every" default:"168h"` // 0 is never
	RepairBytesPerSec Size     `yaml:"repair_bytes_per_sec" default:"8MiB"`
	RepairPauseAbove  Duration `yaml:"repair_pause_above" default:"100ms"` // 0 is never
}

// Lent is what a leader may do by itself for a while, and what an election may cost.
type Lent struct {
	Reads            Reads    `yaml:"reads" default:"round"`
	Lease            Duration `yaml:"lease" default:"0"` // 0 is none, but half of fail_after where reads go by it
	ClockDrift       Duration `yaml:"clock_drift" default:"10ms"`
	MaxLagOnFailover int      `yaml:"max_lag_on_failover" default:"0"` // records; 0 is that nobody is elected
}

// Hooks are commands that a node runs, each a program and its arguments.
type Hooks struct {
	Promoted []string `yaml:"promoted"`
	Demoted  []string `yaml:"demoted"`
	Fence    []string `yaml:"fence"`
	Timeout  Duration `yaml:"timeout" default:"5s"`
}

// Stream bounds the replication streams.
type Stream struct {
	BatchBytesMax    Size     `yaml:"batch_bytes_max" default:"1MiB"`
	WindowBytesMax   Size     `yaml:"window_bytes_max" default:"16MiB"`
	ChunkBytesMax    Size     `yaml:"chunk_bytes_max" default:"512KiB"`
	SnapshotBytesMax Size     `yaml:"snapshot_bytes_max" default:"0"`
	HeartbeatEvery   Duration `yaml:"heartbeat_every" default:"250ms"`
	CommitDelay      Duration `yaml:"commit_delay" default:"500us"`
	SnapshotHold     Duration `yaml:"snapshot_hold" default:"1m"`
}

// Table is a table that the leader defines if it is not there.
type Table struct {
	Name     string   `yaml:",key"`
	Kind     string   `yaml:"kind,short" default:"any"`
	TTL      Duration `yaml:"ttl" default:"0"`
	Resolver string   `yaml:"resolver"`
	Sites    []string `yaml:"sites"` // that hold it, where several write; none: all
}

// Limits bound what a node holds and waits for.
type Limits struct {
	ValueBytesMax        Size     `yaml:"value_bytes_max" default:"16MiB"`
	LogSegmentBytes      Size     `yaml:"log_segment_bytes" default:"64MiB"`
	LogFirstSegmentBytes Size     `yaml:"log_first_segment_bytes" default:"1MiB"`
	LogUnflushedBytesMax Size     `yaml:"log_unflushed_bytes_max" default:"64MiB"`
	LogTailBytes         Size     `yaml:"log_tail_bytes" default:"8MiB"`
	LogRetainBytes       Size     `yaml:"log_retain_bytes" default:"256MiB"`
	StoreCacheBytes      Size     `yaml:"store_cache_bytes" default:"32MiB"`
	BootstrapWait        Duration `yaml:"bootstrap_wait" default:"2s"`
	StartWait            Duration `yaml:"start_wait" default:"2s"`
	HandoverWait         Duration `yaml:"handover_wait" default:"2s"`
	RetainEvery          Duration `yaml:"retain_every" default:"10s"`
	ScrubEvery           Duration `yaml:"scrub_every" default:"24h"`
	ScrubBytesPerSec     Size     `yaml:"scrub_bytes_per_sec" default:"8MiB"`
	CompressAbove        Size     `yaml:"compress_above" default:"0"` // 0 is never
	ConnAgeMax           Duration `yaml:"conn_age_max" default:"6h"`
}

// RESP is the port for Redis clients.
type RESP struct {
	Prefixes       []Prefix `yaml:"prefixes"`
	Routing        Routing  `yaml:"routing" default:"none"` // of what only the leader may do
	ConnectionsMax int      `yaml:"connections_max" default:"10000"`
	IdleTimeout    Duration `yaml:"idle_timeout" default:"0"` // between commands; 0 is for ever
	PasswordFile   string   `yaml:"password_file"`
	Password       string   `yaml:"password,secret"`
}

// Prefix says which table the keys with a prefix belong to.
type Prefix struct {
	Prefix string `yaml:",key"`
	Table  string `yaml:",short"`
}

// TLS names the files of a node's certificate.
type TLS struct {
	CA       string `yaml:"ca"`
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	Insecure bool   `yaml:"insecure" default:"false"` // listen beyond loopback without
}

// Log says what a process logs, and how.
type Log struct {
	Level  string `yaml:"level" default:"info"`
	Format string `yaml:"format" default:"text"`
}
