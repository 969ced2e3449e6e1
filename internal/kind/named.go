package kind

import (
	"hash/fnv"

	"github.com/triad-kv/triad/record"
)

// Named is the number of a table that several sites may define: a hash of its name,
// beyond all numbers that are given in turn. Nobody has to have the definition to know it.
func Named(name string) record.TableID {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	return namedTablesFirst + record.TableID(uint64(h.Sum32())*namedTables>>32)
}

const (
	namedTablesFirst = record.TableID(1 << 24)
	namedTables      = 1<<32 - 1<<24 - 1
)
