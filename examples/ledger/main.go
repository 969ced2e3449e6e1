// Command ledger moves money between accounts over HTTP. A transfer is one batch
// under conditions: both balances are what they were read as, and its id is new.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// Account is a row: a name's balance, in cents.
type Account struct {
	Cents int64 `msgpack:"cents" json:"cents"`
}

// Transfer moves money once, however often it is sent.
type Transfer struct {
	ID    string `msgpack:"-" json:"id"`
	From  string `msgpack:"from" json:"from"`
	To    string `msgpack:"to" json:"to"`
	Cents int64  `msgpack:"cents" json:"cents"`
}

var tables = []triad.Table{{Name: "accounts", Kind: record.KindRow}, {Name: "transfers", Kind: record.KindRow}}

type ledger struct {
	node      *triad.Node
	accounts  *triad.TypedTable[Account]
	transfers *triad.TypedTable[Transfer]
}

func newLedger(n *triad.Node) ledger {
	return ledger{n, triad.TableOf[Account](n, "accounts"), triad.TableOf[Transfer](n, "transfers")}
}

// transfer does t. Who reads After its token sees it, at any node.
func (l ledger) transfer(ctx context.Context, t Transfer) (triad.Receipt, error) {
	for ctx.Err() == nil {
		from, was, err := l.accounts.Read(ctx, t.From)
		to, had, err2 := l.accounts.Read(ctx, t.To)
		if err := errors.Join(err, err2); err != nil {
			return triad.Receipt{}, err
		}
		if _, done, err := l.transfers.Read(ctx, t.ID); err == nil {
			return triad.Receipt{Token: done.Token, Dot: done.Dot}, nil // sent before
		} else if !errors.Is(err, topology.ErrNotFound) {
			return triad.Receipt{}, err
		}
		if t.Cents <= 0 || t.From == t.To || from.Cents < t.Cents {
			return triad.Receipt{}, fmt.Errorf("%d cents from %q, which holds %d, to %q: %w", t.Cents, t.From, from.Cents, t.To, topology.ErrConflict)
		}
		b := triad.NewBatch().IfAbsent("transfers", []byte(t.ID)).
			IfVersion("accounts", []byte(t.From), was.Dot).IfVersion("accounts", []byte(t.To), had.Dot)
		l.accounts.Add(b, t.From, Account{from.Cents - t.Cents})
		l.accounts.Add(b, t.To, Account{to.Cents + t.Cents})
		l.transfers.Add(b, t.ID, t)
		if r, err := l.node.Batch(ctx, b); !errors.Is(err, topology.ErrConditionFailed) {
			return r, err
		} // another transfer was faster: look again
	}
	return triad.Receipt{}, ctx.Err()
}

func main() {
	dir, addr := flag.String("dir", "data/ledger", "data directory"), flag.String("http", "127.0.0.1:8080", "address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	node, err := triad.Open(triad.Config{Dir: *dir, Tables: tables, Topology: singleleader.New(singleleader.Options{})})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *addr, Handler: newLedger(node).handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { log.Println(server.ListenAndServe()); stop() }()
	err = node.Run(ctx)
	if err = errors.Join(err, server.Close(), node.Close()); err != nil {
		log.Fatal(err)
	}
}
