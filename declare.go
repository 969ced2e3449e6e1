package triad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/topology"
)

const (
	declareEvery   = 200 * time.Millisecond // until every table of the configuration is there
	declareTimeout = 5 * time.Second        // of one attempt
)

func sortTables(ts []Table) {
	slices.SortFunc(ts, func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
}

// checkDeclared compares the configuration's tables with what this node has of
// the catalogue.
func (n opening) checkDeclared() error {
	ctx, cancel := context.WithTimeout(context.Background(), declareTimeout)
	defer cancel()
	for _, t := range n.config.Tables {
		if _, err := n.catalogue.declared(ctx, t); contradiction(err) {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return nil
}

func contradiction(err error) bool {
	var c *Contradiction
	return errors.As(err, &c)
}

// await notes which tables of the configuration are not defined yet.
func (c *catalogue) await(missing []Table) {
	var names []string
	for _, t := range missing {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	c.awaited.Store(&names)
}

// undefined returns what await noted, a list that is shared.
func (c *catalogue) undefined() []string {
	if p := c.awaited.Load(); p != nil {
		return *p
	}
	return nil
}

// declared reports whether a table is in this node's catalogue. One that is
// there otherwise is a Contradiction.
func (c *catalogue) declared(ctx context.Context, t Table) (bool, error) {
	d, err := c.lookup(ctx, t.Name, true)
	if errors.Is(err, topology.ErrNoTable) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, c.sameAs(t, d.Table)
}

// declare sees to it that the tables of the configuration are defined: by this
// node while it leads, else it waits to see them. A table that is defined
// otherwise ends the node. It also tells the catalogue the term, where the
// engine does not.
func (n running) declare(ctx context.Context) error {
	select {
	case <-n.gate.open:
	case <-ctx.Done():
		return nil
	}
	missing := slices.Clone(n.config.Tables)
	var told string // the last failure that was told
	_, termed := n.engine.(Termed)
	t := time.NewTicker(declareEvery)
	defer t.Stop()
	for len(missing) > 0 || !termed {
		s := n.engine.Status()
		if !termed {
			n.catalogue.enterTerm(s.Term)
		}
		if s.Role == topology.RoleWitness {
			missing = nil // it has no table, and needs none
		}
		var err error
		missing, err = n.catalogue.declare(ctx, missing, s.Role.Writes())
		n.catalogue.await(missing)
		switch {
		case contradiction(err):
			return fmt.Errorf("configuration: %w", err)
		case err != nil && ctx.Err() == nil && err.Error() != told:
			told = err.Error()
			n.logger.Warn("tables of the configuration are not there yet", "err", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

// declare defines what is missing, where this node leads, and returns what is
// missing still, and why the first of it is.
func (c *catalogue) declare(ctx context.Context, tables []Table, leads bool) (missing []Table, err error) {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	for i, t := range tables {
		there, err := c.declared(ctx, t)
		if err == nil && !there && leads {
			_, err = c.create(ctx, t)
			there = err == nil
		}
		if err != nil {
			return append(missing, tables[i:]...), err
		}
		if !there {
			missing = append(missing, t)
		}
	}
	return missing, nil
}
