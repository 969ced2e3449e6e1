package record_test

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func ExampleEncoder_Append() {
	accepted := record.Record{
		Dot:  version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 7},
		Term: 3,
		Mutations: []record.Mutation{
			{Table: record.TableDefault, Op: record.OpPut, Key: []byte("greeting"), Value: []byte("hello")},
		},
	}
	e := record.NewEncoder()
	bytes := e.Append(nil, &accepted) // once, by who accepts it

	entry := record.Entry{LSN: 1, Term: 3, Sum: record.Sum(bytes), Bytes: bytes}
	onTheWire := record.AppendEntry(nil, entry)

	received, _, err := record.NextEntry(onTheWire)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := received.Record()
	fmt.Println(r.Dot, string(r.Mutations[0].Value), err)

	onTheWire[len(onTheWire)-1] ^= 1
	_, _, err = record.NextEntry(onTheWire)
	fmt.Println(err, errors.Is(err, record.ErrSum))
	// Output:
	// 1.1:7 hello <nil>
	// entry 1 of term 3: record does not match its sum true
}

func ExampleBatch_Check() {
	b := record.Batch{Mutations: []record.Mutation{{Op: record.OpPut, Key: make([]byte, 70_000)}}}
	err := b.Check(record.ValueBytesMax)
	fmt.Println(err)
	fmt.Println(errors.Is(err, record.ErrTooLarge))
	// Output:
	// mutation 1 of 1: too large: key of 70000 bytes, at most 65536
	// true
}
