// Command ledger moves money between accounts, which HTTP asks for. A transfer is one batch under
// conditions; who reads after its token sees it, at any node. Only the mint may owe.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

const mint = "mint"

type Account struct{ Cents int64 }
type Transfer struct {
	ID, From, To string
	Cents        int64
} // done once, however often it is sent
var tables = []triad.Table{{Name: "accounts", Kind: record.KindRow}, {Name: "transfers", Kind: record.KindRow}}

type ledger struct {
	*triad.Node
	accounts  *triad.TypedTable[Account]
	transfers *triad.TypedTable[Transfer]
}

func newLedger(n *triad.Node) ledger {
	return ledger{n, triad.TableOf[Account](n, "accounts"), triad.TableOf[Transfer](n, "transfers")}
}

func (l ledger) transfer(ctx context.Context, t Transfer) (topology.Token, error) {
	for ctx.Err() == nil {
		if _, done, err := l.transfers.Read(ctx, t.ID); !errors.Is(err, topology.ErrNotFound) {
			return done.Token, err
		}
		b := triad.NewBatch().IfAbsent("transfers", []byte(t.ID))
		from, err := l.add(ctx, b, t.From, -t.Cents)
		if _, err2 := l.add(ctx, b, t.To, t.Cents); errors.Join(err, err2) != nil {
			return topology.Token{}, errors.Join(err, err2)
		}
		if t.Cents <= 0 || t.From == t.To || from.Cents < 0 && t.From != mint {
			return topology.Token{}, fmt.Errorf("%d cents from %q to %q: %w", t.Cents, t.From, t.To, topology.ErrConflict)
		}
		l.transfers.Add(b, t.ID, t)
		if r, err := l.Batch(ctx, b); !errors.Is(err, topology.ErrConditionFailed) {
			return r.Token, err
		} // another transfer was faster: look again
	}
	return topology.Token{}, ctx.Err()
}

// add changes an account in b, if it is still as it was read.
func (l ledger) add(ctx context.Context, b *triad.Batch, name string, cents int64) (Account, error) {
	a, was, err := l.accounts.Read(ctx, name)
	if a.Cents += cents; errors.Is(err, topology.ErrNotFound) {
		b.IfAbsent("accounts", []byte(name))
	} else if b.IfVersion("accounts", []byte(name), was.Dot); err != nil {
		return a, err
	}
	l.accounts.Add(b, name, a)
	return a, nil
}

// ServeHTTP does the transfer in the body and answers with what its sender has left.
func (l ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var t Transfer
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&t); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token, err := l.transfer(r.Context(), t)
	left, err2 := l.accounts.Get(r.Context(), t.From, triad.After(token))
	if err = errors.Join(err, err2); err != nil { // it says the outcome; the same id may be sent again
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_, _ = fmt.Fprintln(w, left.Cents) // nobody is left to hear of it
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	node, err := triad.Open(triad.Config{Dir: "data/ledger", Tables: tables, Topology: singleleader.New(singleleader.Options{})})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Println(http.ListenAndServe("127.0.0.1:8080", newLedger(node))); stop() }()
	if err := errors.Join(node.Run(ctx), node.Close()); err != nil {
		log.Fatal(err)
	}
}
