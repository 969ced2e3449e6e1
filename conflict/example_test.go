package conflict_test

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func put(origin uint32, seq uint64, at version.Timestamp, value string) record.Version {
	return record.Version{
		Dot:  version.Dot{Origin: version.Origin{ID: origin, Incarnation: 1}, Seq: seq},
		Time: at, Value: []byte(value),
	}
}

// Two sites wrote without knowing of each other. Nothing is superseded, so the
// last writer wins, and what it won over is counted.
func ExampleMerge_concurrent() {
	berlin, tokyo := put(1, 7, 1000, "blue"), put(2, 3, 1005, "red")

	kept, gone, _ := conflict.Merge([]record.Version{berlin}, nil, []record.Version{tokyo}, nil)
	stays, lost := conflict.SettleLWW(kept)
	fmt.Printf("%d superseded, %s stays, %s lost\n", len(gone), stays[0].Value, lost[0].Value)
	// Output:
	// 0 superseded, red stays, blue lost
}

// Tokyo had read what Berlin wrote: its deps cover it. That is no conflict.
func ExampleMerge_superseded() {
	berlin, tokyo := put(1, 7, 1000, "blue"), put(2, 3, 1005, "red")
	deps := version.Vector{{Origin: berlin.Origin, Seq: 7}}

	kept, gone, _ := conflict.Merge([]record.Version{berlin}, nil, []record.Version{tokyo}, deps)
	fmt.Printf("%s stays, %s superseded\n", kept[0].Value, gone[0].Value)
	// Output:
	// red stays, blue superseded
}

// In a leaderless table records travel alone. A replica that took the second
// write of a node first still needs the other: the set it keeps is exact (X1).
func ExampleMerge_exact() {
	first, second := put(1, 1, 1000, "blue"), put(1, 2, 1001, "red")
	exact := &version.Set{}
	exact.Add(second.Dot)

	kept, _, _ := conflict.Merge([]record.Version{second}, exact, []record.Version{first}, nil)
	fmt.Println("with a set:   ", len(kept), "writes")
	kept, _, _ = conflict.Merge([]record.Version{second}, version.Vector{{Origin: second.Origin, Seq: 2}}, []record.Version{first}, nil)
	fmt.Println("with a vector:", len(kept), "write: an acknowledged one is lost")
	// Output:
	// with a set:    2 writes
	// with a vector: 1 write: an acknowledged one is lost
}

// A site that came back from an old backup numbers its writes anew, and one dot
// stands for two writes. Nothing is merged, and somebody is told.
func ExampleMerge_forked() {
	_, _, err := conflict.Merge([]record.Version{put(1, 8, 1000, "paid")}, nil, []record.Version{put(1, 8, 2000, "open")}, nil)
	fmt.Println(errors.Is(err, conflict.ErrForked))
	fmt.Println(err)
	// Output:
	// true
	// forked origin: write 1.1:8 is known with other contents; nothing was merged
}

// A record is merged cell by cell, over what the store held.
func ExampleApplyLWW() {
	held := func(c record.Cell) (record.State, error) {
		return record.State{Siblings: []record.Version{put(1, 7, 1000, "blue")}}, nil
	}
	r := record.Record{
		Dot: version.Dot{Origin: version.Origin{ID: 2, Incarnation: 1}, Seq: 3}, Time: 990,
		Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("colour"), Op: record.OpPut, Value: []byte("red")}},
	}
	changes, err := conflict.ApplyLWW(&r, nil, r.Deps, held)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range changes {
		fmt.Printf("%s: %s stays, %s lost: it was written earlier\n", c.Cell.Key, c.State.Siblings[0].Value, c.Lost[0].Value)
	}
	// Output:
	// colour: blue stays, red lost: it was written earlier
}
