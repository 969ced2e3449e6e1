package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/leaderless"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// The resolvers that a file may name, besides functions: lww and fields are what tables of
// values and of rows have anyway.
const (
	resolverLWW      = "lww"
	resolverFields   = "fields"
	resolverFirst    = "first-writer"
	resolverPriority = "site-priority"
	resolverSiblings = "siblings"
	resolverCRDT     = "crdt"
)

// functions are the functions that this program brings, for tables to name; programs that
// run a node have their own, see multileader.Options.
func functions() *conflict.Registry {
	r, err := conflict.NewRegistry(conflict.Func("longest", 1, longest))
	if err != nil {
		panic(err) // they are written above
	}
	return r
}

// longest is the longest of the values, of equally long ones the later in the order of
// their bytes; a removal is the shortest.
func longest(_ []byte, siblings []record.Version) (conflict.Fold, error) {
	out := conflict.Fold{Absent: true}
	for _, s := range siblings {
		longer := len(s.Value) > len(out.Value) || len(s.Value) == len(out.Value) && bytes.Compare(s.Value, out.Value) > 0
		if !s.Absent && (out.Absent || longer) {
			out = conflict.Fold{Value: s.Value}
		}
	}
	return out, nil
}

// resolverOf is a table's resolver as the engine spells it: with the numbers of sites for
// their names.
func (t Topology) resolverOf(spelled string) (string, error) {
	name, params, has := strings.Cut(spelled, "(")
	if name != resolverPriority {
		return spelled, nil
	}
	params, closed := strings.CutSuffix(params, ")")
	if !has || !closed {
		return "", fmt.Errorf("%s names the sites in their order, as in %s(%s)", resolverPriority, resolverPriority, strings.Join(t.siteNames(), ", "))
	}
	var numbers []string
	for _, word := range strings.Split(params, ",") {
		word = strings.TrimSpace(word)
		i := slices.IndexFunc(t.Sites, func(s SiteNumber) bool { return s.Name == word })
		if i < 0 {
			why := fmt.Sprintf("%s names %.70q, which is no site; sites are %s", resolverPriority, word, strings.Join(t.siteNames(), ", "))
			if near := strict.Nearest(word, t.siteNames()); near != "" {
				why += "; did you mean " + near + "?"
			}
			return "", errors.New(why)
		}
		number := fmt.Sprint(t.Sites[i].Number)
		if slices.Contains(numbers, number) {
			return "", fmt.Errorf("%s names %s twice", resolverPriority, word)
		}
		numbers = append(numbers, number)
	}
	return resolverPriority + "(" + strings.Join(numbers, ",") + ")", nil
}

func (t Topology) siteNames() (names []string) {
	for _, s := range t.Sites {
		names = append(names, s.Name)
	}
	return names
}

// severalTable refuses a resolver that a table can not have, where several sites write.
// Kinds that this version has not are refused with the others.
func (c checker) severalTable(path string, topology Topology, t Table) {
	const at = ".resolver"
	if topology.leaderless() {
		if slices.Contains([]string{"flag", "max", "min", "hll"}, t.Kind) && !c.Faulty(path+".kind") {
			c.Fault(path+".kind", "without a leader there are no tables of kind %s: they are of %s and %s", t.Kind, kindSingleLeader, kindMultiLeader)
		}
		leaderlessTable(c, path+at, t)
		return
	}
	if t.Resolver == "" || c.Faulty(path+at) || c.Faulty(path+".kind") || c.Faulty("topology") || c.Faulty("sites") || len(topology.Sites) == 0 {
		return
	}
	if t.Name == triad.DefaultTable && t.Resolver != resolverLWW {
		c.Fault(path+at, "table %s always exists, and its last writer wins; name another table", t.Name)
		return
	}
	kind, err := triad.ParseKind(t.Kind)
	if err != nil {
		return
	}
	spelled, err := topology.resolverOf(t.Resolver)
	if err == nil {
		err = topology.siteOptions().CheckResolver(kind, spelled)
	}
	if err == nil {
		return
	}
	why := strings.TrimPrefix(err.Error(), "resolver ")
	if errors.Is(err, multileader.ErrUnknownResolver) {
		words := []string{resolverLWW, resolverFields, resolverFirst, resolverPriority, resolverSiblings, "longest"}
		why = fmt.Sprintf("resolver %v; functions of your own are for programs that run a node", notOneOf(t.Resolver, words))
	}
	c.Fault(path+at, "%s", why)
}

// leaderlessTable refuses a resolver that a table can not have where nobody leads.
func leaderlessTable(c checker, path string, t Table) {
	if t.Resolver == "" || c.Faulty(path) {
		return
	}
	kind, err := triad.ParseKind(t.Kind)
	if err != nil {
		return
	}
	if t.Name == triad.DefaultTable && t.Resolver != resolverLWW {
		c.Fault(path, "table %s always exists, and its last writer wins; name another table", t.Name)
		return
	}
	if err := leaderless.CheckResolver(kind, t.Resolver); err != nil {
		c.Fault(path, "%s", strings.TrimPrefix(err.Error(), topology.ErrUnsupported.Error()+": "))
	}
}

// resolverSays is a table's resolver for people; empty where that is the usual one.
func resolverSays(t Table) string {
	switch name, params, _ := strings.Cut(t.Resolver, "("); {
	case t.Resolver == "":
		return ""
	case name == resolverLWW:
		return "the last writer wins"
	case name == resolverFields:
		return "the last writer of each column wins"
	case name == resolverFirst:
		return "the first writer wins"
	case name == resolverPriority:
		return "the first of sites " + strings.TrimSuffix(params, ")") + " wins"
	case name == resolverSiblings:
		return "all concurrent values are kept"
	case name == resolverCRDT:
		return "of an addition and a removal at the same time the addition stays"
	}
	return "settled by " + t.Resolver
}
