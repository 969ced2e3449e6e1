package server

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var replicationCommands = []command{
	{name: "role", arity: 1, flags: fast, group: "server", about: "Tells what the node does for its group.", answer: answerRole},
	{name: "wait", arity: 3, flags: cuts | alone | blocking, group: "generic", about: "Waits until that many other nodes have the last write durable.", answer: answerWait},
}

// role is the node's, in Redis's words.
func (s *Server) role() string {
	if s.node.Status().Role.Writes() {
		return "master"
	}
	return "slave"
}

// address is where the RESP port of a node is: host and port, empty and 0 if not known.
func (s *Server) address(n topology.NodeID) (host string, port int) {
	host, text, err := net.SplitHostPort(s.o.Addr(n))
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

func answerRole(_ context.Context, c *conn, r *request) error {
	s := c.server
	st := s.node.Status()
	w := &r.out
	if !st.Role.Writes() {
		host, port := s.address(st.Leader)
		state := "connected"
		if st.Leader == "" {
			state = "connect"
		}
		w.Array(5)
		w.BulkString("slave")
		w.BulkString(host)
		w.Int(int64(port))
		w.BulkString(state)
		w.Int(int64(st.Flushed))
		return nil
	}
	w.Array(3)
	w.BulkString("master")
	w.Int(int64(st.End))
	w.Array(len(st.Peers))
	for _, p := range st.Peers {
		host, port := s.address(p.Node)
		w.Array(3)
		w.BulkString(host)
		w.BulkString(strconv.Itoa(port))
		w.BulkString(strconv.FormatUint(uint64(p.Flushed), 10))
	}
	return nil
}

// replication is the section of INFO.
func (s *Server) replication(st topology.Status) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	if st.Role.Writes() {
		line("role:master")
		line("connected_slaves:%d", len(st.Peers))
		for i, p := range st.Peers {
			host, port := s.address(p.Node)
			line("slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d,triad_node=%s,triad_sync=%t", i, host, port, p.State, p.Flushed, int(p.Lag.Time.Seconds()), p.Node, p.Sync)
		}
	} else {
		host, port := s.address(st.Leader)
		link := "up"
		if st.Leader == "" {
			link = "down"
		}
		line("role:slave")
		line("master_host:%s", host)
		line("master_port:%d", port)
		line("master_link_status:%s", link)
		line("slave_repl_offset:%d", st.Flushed)
		line("slave_read_only:1")
	}
	line("master_repl_offset:%d", st.End)
	line("triad_role:%s", st.Role)
	line("triad_leader:%s", st.Leader)
	line("triad_term:%d", st.Term)
	line("triad_policy:%s", st.Policy)
	line("triad_lag_records:%d", st.Lag.Records)
	return b.String()
}

const (
	waitPauseMin = time.Millisecond      // between two looks of WAIT, doubled from there
	waitPauseMax = 50 * time.Millisecond // up to here
)

// answerWait waits for the session's last write. That is committed already when
// it was answered as Flushed; WAIT asks for more copies than the policy does.
func answerWait(ctx context.Context, c *conn, r *request) error {
	want, ok := parseInt(r.args[1])
	if !ok || want < 0 {
		return errNotInteger
	}
	ms, ok := parseInt(r.args[2])
	if !ok {
		return errTimeout
	}
	if ms < 0 {
		return replyError("ERR timeout is negative")
	}
	last := c.session.last
	have := int64(max(len(last.Durable)-1, 0))
	if have < want && c.session.written && c.server.role() != "master" {
		return replyError("ERR WAIT is for the leader: this node does not know who else has a write that was forwarded")
	}
	if have < want && c.session.written {
		have = c.waitFor(ctx, last.LSN, want, time.Duration(min(ms, 1<<40))*time.Millisecond, have)
	}
	if !c.session.written {
		have = c.server.copies(0)
	}
	r.out.Int(have)
	return nil
}

// waitFor looks until that many others have lsn durable, or the time is over; 0
// is as long as a call may take.
func (c *conn) waitFor(ctx context.Context, lsn record.LSN, want int64, timeout time.Duration, have int64) int64 {
	if timeout == 0 || timeout > c.server.o.Limits.CallTimeout {
		timeout = c.server.o.Limits.CallTimeout
	}
	over := time.NewTimer(timeout)
	defer over.Stop()
	for pause := waitPauseMin; ; pause = min(2*pause, waitPauseMax) {
		if have = max(have, c.server.copies(lsn)); have >= want {
			return have
		}
		select {
		case <-time.After(pause):
		case <-over.C:
			return have
		case <-ctx.Done():
			return have
		}
	}
}

// copies counts the other nodes that have lsn durable, as far as the leader knows.
func (s *Server) copies(lsn record.LSN) int64 {
	n := int64(0)
	for _, p := range s.node.Status().Peers {
		if p.Flushed >= lsn {
			n++
		}
	}
	return n
}
