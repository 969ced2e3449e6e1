package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/triad-kv/triad/topology"
)

// Explained is who would lead if the leader failed now: GET /api/v1/failover/explain,
// and what `triad failover explain` prints.
type Explained struct {
	Term        uint64          `json:"term"`
	Leader      topology.NodeID `json:"leader"`
	Policy      string          `json:"policy"`
	Elects      bool            `json:"elects"`           // false: people name the leader
	Paused      bool            `json:"paused,omitempty"` // nobody is elected until an operator lets them
	Winner      topology.NodeID `json:"winner,omitempty"` // who would be elected, or may be named
	Why         string          `json:"why"`
	ReignSecs   float64         `json:"reign_seconds,omitempty"`    // for which nobody is elected yet, as the leader has led for less than it is to
	BackOffSecs float64         `json:"back_off_seconds,omitempty"` // that an election waits for longer, as leaders change often
	Known       bool            `json:"leader_answers"`
	Tail        uint64          `json:"records_put_aside"` // durable at the leader alone, and not committed; as far as it answers
	Lost        uint64          `json:"records_lost"`      // committed, and not at the winner
	Members     []Contender     `json:"members"`
}

// Contender is one member of it.
type Contender struct {
	Node          topology.NodeID `json:"node"`
	Role          topology.Role   `json:"role"`
	Answers       bool            `json:"answers"`
	InSync        bool            `json:"in_sync"`
	Term          uint64          `json:"log_term"`
	EndLSN        uint64          `json:"flush_lsn"`
	BehindRecords uint64          `json:"behind_records"`
	LosesRecords  uint64          `json:"would_lose_records"` // if it were made leader by force
	Reasons       []string        `json:"reasons"`            // why it would not win
}

// ExplainedOf is x with names for JSON.
func ExplainedOf(x topology.Explanation) Explained {
	v := Explained{
		Term: x.Term, Leader: x.Leader, Policy: x.Policy, Elects: x.Elects, Paused: x.Paused, Winner: x.Winner, Why: x.Why,
		ReignSecs: x.Reign.Seconds(), BackOffSecs: x.BackOff.Seconds(), Known: x.Known, Tail: x.Tail, Lost: x.Lost, Members: []Contender{},
	}
	for _, c := range x.Contenders {
		v.Members = append(v.Members, Contender{
			Node: c.Node, Role: c.Role, Answers: c.Answers, InSync: c.InSync, Term: c.Term, EndLSN: uint64(c.End),
			BehindRecords: c.Behind, LosesRecords: c.Loses, Reasons: append([]string{}, c.Reasons...),
		})
	}
	return v
}

// explain answers who would lead. It changes nothing, and wants no more than status does.
func (a *Admin) explain(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), surveyWait)
	defer cancel()
	err := fmt.Errorf("this port can not tell: %w", topology.ErrUnsupported)
	var x topology.Explanation
	if a.o.Explain != nil {
		x, err = a.o.Explain(ctx)
	}
	if err != nil {
		answer(w, codeOf(err), refusedOf(err))
		return
	}
	answer(w, http.StatusOK, ExplainedOf(x))
}
