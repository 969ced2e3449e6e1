package server

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// still is a node that decides and keeps nothing, at no cost.
type still struct{ cells []topology.CellReading }

func (s still) Cells(int) []topology.CellReading { return s.cells }

func (s still) Table(context.Context, string) (triad.CellTable, error) {
	return triad.CellTable{ID: record.TableDefault}, nil
}
func (s still) Status() topology.Status { return topology.Status{Role: topology.RoleLeader} }

func (s still) Update(_ context.Context, us []topology.Update, _ topology.WriteOptions) {
	for i := range us {
		_, us[i].Err = us[i].Decide(s)
	}
}

func (s still) Read(context.Context, record.TableID, []byte, topology.ReadOptions) (topology.Reading, error) {
	return topology.Reading{Cells: s.cells}, nil
}

func (s still) Scan(context.Context, record.TableID, []byte, []byte, topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {}
}

// BenchmarkServer is what the port itself costs a command, over loopback and a
// node that costs nothing.
func BenchmarkServer(b *testing.B) {
	value := strings.Repeat("v", 128)
	node := still{cells: []topology.CellReading{{Version: record.Version{Kind: record.KindBytes, Value: []byte(value)}}}}
	for _, pipeline := range []int{1, 16} {
		for name, command := range map[string]string{"SET": array("SET", "key:000000000001", value), "GET": array("GET", "key:000000000001")} {
			b.Run(fmt.Sprintf("%s/P=%d", name, pipeline), func(b *testing.B) {
				s, err := New(node, Options{})
				require.NoError(b, err)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(b, err)
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- s.Serve(ctx, l) }()
				sock, err := net.Dial("tcp", l.Addr().String())
				require.NoError(b, err)
				in, answer := bufio.NewReader(sock), []byte(nil)
				raw := []byte(strings.Repeat(command, pipeline))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if i%pipeline == 0 {
						_, _ = sock.Write(raw)
					}
					answer, _ = resp.AppendAnswer(answer[:0], in, 1<<20)
				}
				_ = sock.Close()
				cancel()
				require.NoError(b, <-done)
			})
		}
	}
}
