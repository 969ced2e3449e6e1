package server

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
)

var adminCommands = []command{
	{name: "info", arity: -1, flags: 0, group: "server", about: "Describes the node.", answer: answerInfo},
	{name: "config", arity: -2, flags: family | admin, group: "server", about: "Shows the configuration.", answer: answerFamily},
	{name: "config|get", arity: -3, flags: admin | alone, group: "server", about: "Returns parameters by patterns.", answer: answerConfigGet},
	{name: "config|help", arity: 2, flags: 0, group: "server", about: "Lists what CONFIG knows.", answer: answerFamilyHelp},
	{name: "command", arity: -1, flags: family, group: "server", about: "Describes the commands.", answer: answerCommand},
	{name: "command|count", arity: 2, flags: 0, group: "server", about: "Counts the commands.", answer: answerCommandCount},
	{name: "command|docs", arity: -2, flags: 0, group: "server", about: "Documents commands.", answer: answerCommandDocs},
	{name: "command|info", arity: -2, flags: 0, group: "server", about: "Describes commands.", answer: answerCommandInfo},
	{name: "command|list", arity: 2, flags: 0, group: "server", about: "Names the commands.", answer: answerCommandList},
	{name: "command|help", arity: 2, flags: 0, group: "server", about: "Lists what COMMAND knows.", answer: answerFamilyHelp},
	{name: "function", arity: -2, flags: family, group: "scripting", about: "Looks after functions; there are none.", answer: answerFamily},
	{name: "function|flush", arity: -2, flags: alone, group: "scripting", about: "Is accepted; there are no functions.", answer: answerFunctionFlush},
	{name: "function|list", arity: -2, flags: alone, group: "scripting", about: "Lists no functions.", answer: answerFunctionList},
}

// answerFamily answers a command that does nothing without a subcommand.
func answerFamily(_ context.Context, _ *conn, r *request) error {
	return replyErrorf("ERR wrong number of arguments for '%s' command", r.cmd.name)
}

func answerFamilyHelp(_ context.Context, c *conn, r *request) error {
	family, _, _ := strings.Cut(r.cmd.name, "|")
	var lines []string
	for _, cmd := range c.server.listed() {
		if sub, ok := strings.CutPrefix(cmd.name, family+"|"); ok {
			lines = append(lines, fmt.Sprintf("%s: %s", strings.ToUpper(sub), cmd.about))
		}
	}
	r.out.Array(len(lines))
	for _, l := range lines {
		r.out.Simple(l)
	}
	return nil
}

// listed returns the rows of the table of commands by name.
func (s *Server) listed() []*command {
	all := make([]*command, 0, len(s.commands))
	for _, c := range s.commands {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *command) int { return strings.Compare(a.name, b.name) })
	return all
}

// top returns the commands that are no subcommands.
func (s *Server) top() []*command {
	return slices.DeleteFunc(s.listed(), func(c *command) bool { return strings.Contains(c.name, "|") })
}

// named returns the commands of those names, nil for one that there is not; all
// if none is named.
func (s *Server) named(names [][]byte) []*command {
	if len(names) == 0 {
		return s.top()
	}
	cs := make([]*command, len(names))
	for i, n := range names {
		cs[i] = s.commands[strings.ToLower(string(n))]
	}
	return cs
}

func answerCommand(_ context.Context, c *conn, r *request) error {
	describeAll(&r.out, c.server.top())
	return nil
}

func answerCommandInfo(_ context.Context, c *conn, r *request) error {
	describeAll(&r.out, c.server.named(r.args[2:]))
	return r.fits()
}

func describeAll(w *resp.Writer, cs []*command) {
	w.Array(len(cs))
	for _, cmd := range cs {
		if cmd == nil {
			w.Null()
			continue
		}
		cmd.describe(w)
	}
}

// describe writes a command as COMMAND does: name, arity, flags, first, last and
// step of its keys, categories, tips, key specifications, subcommands.
func (c *command) describe(w *resp.Writer) {
	w.Array(10)
	w.BulkString(c.name)
	w.Int(int64(c.arity))
	var flags []string
	for _, f := range flagNames {
		if c.flags&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	w.Set(len(flags))
	for _, f := range flags {
		w.Simple(f)
	}
	w.Int(int64(c.keys.first))
	w.Int(int64(c.keys.last))
	w.Int(int64(c.keys.step))
	w.Set(1)
	w.Simple("@" + c.group)
	for range 3 {
		w.Array(0)
	}
}

func answerCommandCount(_ context.Context, c *conn, r *request) error {
	r.out.Int(int64(len(c.server.top())))
	return nil
}

func answerCommandList(_ context.Context, c *conn, r *request) error {
	all := c.server.top()
	r.out.Array(len(all))
	for _, cmd := range all {
		r.out.BulkString(cmd.name)
	}
	return nil
}

func answerCommandDocs(_ context.Context, c *conn, r *request) error {
	all := slices.DeleteFunc(c.server.named(r.args[2:]), func(c *command) bool { return c == nil })
	r.out.Map(len(all))
	for _, cmd := range all {
		r.out.BulkString(cmd.name)
		r.out.Map(2)
		r.out.BulkString("summary")
		r.out.BulkString(cmd.about)
		r.out.BulkString("group")
		r.out.BulkString(cmd.group)
	}
	return r.fits()
}

func answerFunctionFlush(_ context.Context, _ *conn, r *request) error {
	if len(r.args) > 3 || len(r.args) == 3 && !equalFold(r.args[2], "ASYNC") && !equalFold(r.args[2], "SYNC") {
		return replyError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
	}
	r.out.OK()
	return nil
}

func answerFunctionList(_ context.Context, _ *conn, r *request) error {
	r.out.Array(0)
	return nil
}

// parameters are what CONFIG GET knows: what clients and redis-benchmark ask for.
func (s *Server) parameters() [][2]string {
	l := &s.o.Limits
	return [][2]string{
		{"appendfsync", "always"},
		{"appendonly", "yes"},
		{"databases", "1"},
		{"maxclients", fmt.Sprint(l.ConnectionsMax)},
		{"maxmemory", "0"},
		{"maxmemory-policy", "noeviction"},
		{"proto-max-bulk-len", fmt.Sprint(resp.LimitsDefault.BulkBytesMax)},
		{"save", ""},
		{"timeout", fmt.Sprint(int(l.IdleTimeout.Seconds()))},
	}
}

func answerConfigGet(_ context.Context, c *conn, r *request) error {
	var found [][2]string
	for _, p := range c.server.parameters() {
		if slices.ContainsFunc(r.args[2:], func(pattern []byte) bool { return glob([]byte(strings.ToLower(string(pattern))), []byte(p[0])) }) {
			found = append(found, p)
		}
	}
	r.out.Map(len(found))
	for _, p := range found {
		r.out.BulkString(p[0])
		r.out.BulkString(p[1])
	}
	return nil
}

func answerInfo(_ context.Context, c *conn, r *request) error {
	sections := c.server.sections(r)
	var b strings.Builder
	for _, s := range sections {
		wanted := len(r.args) == 1 || slices.ContainsFunc(r.args[1:], func(a []byte) bool {
			return strings.EqualFold(string(a), s.name) || equalFold(a, "ALL") || equalFold(a, "DEFAULT") || equalFold(a, "EVERYTHING")
		})
		if !wanted {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + s.name + "\r\n" + s.text)
	}
	r.out.Verbatim(b.String())
	return nil
}

type section struct{ name, text string }

func (s *Server) sections(r *request) []section {
	st := s.node.Status()
	lines := func(pairs ...any) string {
		var b strings.Builder
		for i := 0; i < len(pairs); i += 2 {
			fmt.Fprintf(&b, "%v:%v\r\n", pairs[i], pairs[i+1])
		}
		return b.String()
	}
	s.mu.Lock()
	connected := len(s.clients)
	s.mu.Unlock()
	n := &s.counts
	uptime := int64(time.Since(s.started).Seconds())
	return []section{
		{"Server", lines("redis_version", RedisVersion, "redis_mode", s.o.Routing.mode(), "triad_version", s.o.Version, "triad_node", st.Node,
			"triad_cluster", st.Cluster, "os", runtime.GOOS, "arch_bits", 64, "uptime_in_seconds", uptime, "uptime_in_days", uptime/86400)},
		{"Clients", lines("connected_clients", connected, "maxclients", s.o.Limits.ConnectionsMax,
			"client_buffer_bytes", s.buffers.used.Load(), "client_buffer_bytes_max", s.buffers.most)},
		{"Persistence", lines("loading", 0, "aof_enabled", 1, "triad_log_first", st.First, "triad_log_end", st.End,
			"triad_log_flushed", st.Flushed, "triad_log_commit", st.Commit, "triad_log_applied", st.Applied)},
		{"Stats", lines("total_connections_received", n.connections.Load(), "rejected_connections", n.rejected.Load(),
			"total_commands_processed", n.commands.Load(), "triad_groups", n.groups.Load(), "triad_forwarded", n.forwarded.Load(), "triad_protocol_errors", n.protocolErrors.Load(),
			"triad_auth_failures", n.authFailures.Load(), "triad_client_timeouts", n.timeouts.Load(), "triad_panics", n.panics.Load())},
		{"Replication", s.replication(st)},
		{"Cluster", lines("cluster_enabled", map[Routing]int{RoutingRedirect: 1}[s.o.Routing])},
		{"Keyspace", ""},
	}
}
