module github.com/triad-kv/triad/internal/server/redistest

go 1.26.0

require (
	github.com/cockroachdb/pebble/v2 v2.1.7
	github.com/redis/go-redis/v9 v9.23.0
	github.com/stretchr/testify v1.11.1
	github.com/triad-kv/triad v0.0.0
	go.uber.org/goleak v1.3.0
)

replace github.com/triad-kv/triad => ../../..
