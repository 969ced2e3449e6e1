package quorum

import (
	_ "example.com/house/benchmarks/commit"
	_ "example.com/house/cmd/triad"
	_ "example.com/house/internal/wal"
)
