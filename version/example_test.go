package version_test

import (
	"fmt"
	"time"

	"github.com/triad-kv/triad/version"
)

func ExampleVector() {
	us, eu := version.Origin{ID: 1, Incarnation: 1}, version.Origin{ID: 2, Incarnation: 1}
	atUS := version.Vector{}.With(us, 40).With(eu, 12)
	atEU := version.Vector{}.With(us, 38).With(eu, 15)

	fmt.Println(atUS.Descends(atEU), atEU.Descends(atUS)) // concurrent
	both := atUS.Join(atEU)
	fmt.Println(both, both.Has(version.Dot{Origin: eu, Seq: 14}))
	// Output:
	// false false
	// [{1.1 40} {2.1 15}] true
}

func ExampleSet() {
	o := version.Origin{ID: 1, Incarnation: 1}
	var seen version.Set
	seen.Add(version.Dot{Origin: o, Seq: 1})
	seen.Add(version.Dot{Origin: o, Seq: 3}) // before its predecessor
	fmt.Println(seen.Prefix, seen.Dots, seen.Has(version.Dot{Origin: o, Seq: 2}))
	seen.Add(version.Dot{Origin: o, Seq: 2})
	fmt.Println(seen.Prefix, seen.Dots)
	// Output:
	// [{1.1 1}] [1.1:3] false
	// [{1.1 3}] []
}

func ExampleClock() {
	wall := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := version.NewClock(func() time.Time { return wall }, 0)
	fmt.Println(c.Now())
	wall = wall.Add(-time.Minute) // somebody sets the clock back
	fmt.Println(c.Now())

	err := c.Observe(version.TimestampAt(wall.Add(time.Hour)))
	fmt.Println(err)
	fmt.Println(c.Now())
	// Output:
	// 2026-11-23T12:00:00.000Z+0
	// 2026-11-23T12:00:00.000Z+1
	// time 2026-11-23T12:59:00.000Z+0 is 1h0m0s ahead of the local clock, more than the allowed 500ms: check the clocks of both nodes
	// 2026-11-23T12:00:00.000Z+2
}

func ExampleDot() {
	d := version.Dot{Origin: version.Origin{ID: 3, Incarnation: 2}, Seq: 17}
	fmt.Println(d)
	// Output: 3.2:17
}
