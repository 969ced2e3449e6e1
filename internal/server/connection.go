package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"
)

var connectionCommands = []command{
	{name: "ping", arity: -1, flags: fast, group: "connection", about: "Answers PONG, or what it is given.", answer: answerPing},
	{name: "echo", arity: 2, flags: fast, group: "connection", about: "Answers what it is given.", answer: answerEcho},
	{name: "auth", arity: -2, flags: stranger | fast | alone | cuts, group: "connection", about: "Shows who the client is.", answer: answerAuth},
	{name: "hello", arity: -1, flags: stranger | fast | alone | cuts, group: "connection", about: "Chooses the protocol, and may show who the client is.", answer: answerHello},
	{name: "select", arity: 2, flags: fast, group: "connection", about: "Chooses the database; there is one, 0.", answer: answerSelect},
	{name: "quit", arity: -1, flags: stranger | fast | direct, group: "connection", about: "Ends the connection.", answer: answerQuit},
	{name: "reset", arity: 1, flags: stranger | fast | direct | cuts, group: "connection", about: "Makes the connection as new.", answer: answerReset},
	{name: "client", arity: -2, flags: family, group: "connection", about: "Looks after connections.", answer: answerFamily},
	{name: "client|id", arity: 2, flags: fast, group: "connection", about: "Returns the connection's number.", answer: answerClientID},
	{name: "client|getname", arity: 2, flags: fast, group: "connection", about: "Returns the connection's name.", answer: answerClientGetName},
	{name: "client|setname", arity: 3, flags: fast, group: "connection", about: "Names the connection.", answer: answerClientSetName},
	{name: "client|setinfo", arity: 4, flags: fast, group: "connection", about: "Notes the client's library.", answer: answerClientSetInfo},
	{name: "client|info", arity: 2, flags: 0, group: "connection", about: "Describes the connection.", answer: answerClientInfo},
	{name: "client|list", arity: -2, flags: 0, group: "connection", about: "Describes all connections.", answer: answerClientList},
	{name: "client|no-evict", arity: 3, flags: 0, group: "connection", about: "Is accepted; nothing is evicted.", answer: answerOnOff},
	{name: "client|no-touch", arity: 3, flags: fast, group: "connection", about: "Is accepted; nothing is touched.", answer: answerOnOff},
	{name: "client|reply", arity: 3, flags: alone | cuts, group: "connection", about: "Turns answers off and on.", answer: answerClientReply},
	{name: "client|help", arity: 2, flags: 0, group: "connection", about: "Lists what CLIENT knows.", answer: answerFamilyHelp},
}

func answerPing(_ context.Context, _ *conn, r *request) error {
	switch len(r.args) {
	case 1:
		r.out.Simple("PONG")
	case 2:
		r.out.Bulk(r.args[1])
	default:
		return replyError("ERR wrong number of arguments for 'ping' command")
	}
	return nil
}

func answerEcho(_ context.Context, _ *conn, r *request) error {
	r.out.Bulk(r.args[1])
	return nil
}

func answerAuth(ctx context.Context, c *conn, r *request) error {
	if len(r.args) > 3 {
		return errSyntax
	}
	if len(r.args) == 2 && c.server.o.Password == "" {
		return replyError("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	}
	user := []byte("default")
	if len(r.args) == 3 {
		user = r.args[1]
	}
	err := c.authenticate(ctx, user, r.args[len(r.args)-1])
	if err == nil {
		r.out.OK()
	}
	return err
}

// authenticate compares in a time that says nothing of the password. Whoever
// errs waits longer each time, alone, and is left after a few.
func (c *conn) authenticate(ctx context.Context, user, password []byte) error {
	sum := sha256.Sum256(password)
	same := subtle.ConstantTimeCompare(sum[:], c.server.secret[:]) == 1 || c.server.o.Password == ""
	if same && string(user) == "default" {
		c.failures = 0
		c.trust(true)
		return nil
	}
	c.server.counts.authFailures.Add(1)
	wait := time.NewTimer(min(c.server.o.Limits.AuthDelay<<min(c.failures, 10), authDelayMax))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	if c.failures++; c.failures >= c.server.o.Limits.AuthFailuresMax {
		c.server.logger.Warn("a client is left: wrong passwords", "client", c.id, "from", c.sock.RemoteAddr(), "failures", c.failures)
		c.closes = true
	}
	return errWrongPass
}

// authDelayMax bounds the wait before a wrong password is answered.
const authDelayMax = 2 * time.Second

func answerHello(ctx context.Context, c *conn, r *request) error {
	proto, args := c.session.proto, r.args[1:]
	if len(args) > 0 {
		n, ok := parseInt(args[0])
		if !ok {
			return replyError("ERR Protocol version is not an integer or out of range")
		}
		if n < 2 || n > 3 {
			return replyError("NOPROTO unsupported protocol version")
		}
		proto, args = int(n), args[1:]
	}
	var name []byte
	named := false
	for len(args) > 0 {
		switch {
		case equalFold(args[0], "AUTH") && len(args) >= 3:
			if err := c.authenticate(ctx, args[1], args[2]); err != nil {
				return err
			}
			args = args[3:]
		case equalFold(args[0], "SETNAME") && len(args) >= 2:
			if err := checkName(args[1]); err != nil {
				return err
			}
			name, named, args = args[1], true, args[2:]
		default:
			return replyErrorf("ERR Syntax error in HELLO option '%s'", cut(args[0], 128))
		}
	}
	if !c.session.trusted {
		return replyError("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	}
	if named {
		c.visible.set(&c.visible.name, name)
	}
	c.session.proto, r.out.Proto = proto, proto
	c.greet(r)
	return nil
}

// RedisVersion is the version of Redis whose words and forms are spoken.
const RedisVersion = "7.0.15"

func (c *conn) greet(r *request) {
	w := &r.out
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(RedisVersion)
	w.BulkString("proto")
	w.Int(int64(r.out.Proto))
	w.BulkString("id")
	w.Int(c.id)
	w.BulkString("mode")
	w.BulkString(c.server.o.Routing.mode())
	w.BulkString("role")
	w.BulkString(c.server.role())
	w.BulkString("modules")
	w.Array(0)
}

func answerSelect(_ context.Context, _ *conn, r *request) error {
	n, ok := parseInt(r.args[1])
	switch {
	case !ok:
		return errNotInteger
	case n != 0:
		return replyError("ERR DB index is out of range")
	}
	r.out.OK()
	return nil
}

func answerQuit(_ context.Context, c *conn, r *request) error {
	r.out.OK()
	c.closes = true
	return nil
}

func answerReset(_ context.Context, c *conn, r *request) error {
	c.reset()
	c.visible.set(&c.visible.name, nil)
	r.out.Proto = c.session.proto
	r.out.Simple("RESET")
	return nil
}

// nameBytesKept bounds what a client may say of itself.
const nameBytesKept = 512

func checkName(name []byte) error {
	if len(name) > nameBytesKept {
		return replyErrorf("ERR Client names are at most %d bytes long", nameBytesKept)
	}
	for _, c := range name {
		if c < '!' || c > '~' {
			return replyError("ERR Client names cannot contain spaces, newlines or special characters.")
		}
	}
	return nil
}

func (v *visible) set(field *string, text []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*field = string(text)
}

func answerClientID(_ context.Context, c *conn, r *request) error {
	r.out.Int(c.id)
	return nil
}

func answerClientGetName(_ context.Context, c *conn, r *request) error {
	c.visible.mu.Lock()
	defer c.visible.mu.Unlock()
	if c.visible.name == "" {
		r.out.Null()
		return nil
	}
	r.out.BulkString(c.visible.name)
	return nil
}

func answerClientSetName(_ context.Context, c *conn, r *request) error {
	if err := checkName(r.args[2]); err != nil {
		return err
	}
	c.visible.set(&c.visible.name, r.args[2])
	r.out.OK()
	return nil
}

func answerClientSetInfo(_ context.Context, c *conn, r *request) error {
	field := &c.visible.lib
	switch {
	case equalFold(r.args[2], "LIB-NAME"):
	case equalFold(r.args[2], "LIB-VER"):
		field = &c.visible.version
	default:
		return replyErrorf("ERR Unrecognized option '%s'", cut(r.args[2], 128))
	}
	if checkName(r.args[3]) != nil {
		return replyErrorf("ERR %s cannot contain spaces, newlines or special characters.", strings.ToLower(string(r.args[2])))
	}
	c.visible.set(field, r.args[3])
	r.out.OK()
	return nil
}

// describe is a line of CLIENT LIST.
func (c *conn) describe(now time.Time) string {
	v := &c.visible
	v.mu.Lock()
	defer v.mu.Unlock()
	command := "NULL"
	if cmd := v.command.Load(); cmd != nil {
		command = cmd.name
	}
	return fmt.Sprintf("id=%d addr=%v laddr=%v name=%s age=%d idle=%d db=0 cmd=%s user=default lib-name=%s lib-ver=%s",
		c.id, c.sock.RemoteAddr(), c.sock.LocalAddr(), v.name, int(now.Sub(c.since).Seconds()),
		max(now.UnixMilli()-v.used.Load(), 0)/1000, command, v.lib, v.version)
}

func answerClientInfo(_ context.Context, c *conn, r *request) error {
	r.out.Verbatim(c.describe(time.Now()) + "\n")
	return nil
}

func answerClientList(_ context.Context, c *conn, r *request) error {
	if len(r.args) > 2 {
		return errSyntax
	}
	var b strings.Builder
	for _, other := range c.server.present() {
		b.WriteString(other.describe(time.Now()))
		b.WriteByte('\n')
	}
	r.out.Verbatim(b.String())
	return r.fits()
}

func answerOnOff(_ context.Context, _ *conn, r *request) error {
	if !equalFold(r.args[2], "ON") && !equalFold(r.args[2], "OFF") {
		return errSyntax
	}
	r.out.OK()
	return nil
}

func answerClientReply(_ context.Context, c *conn, r *request) error {
	switch {
	case equalFold(r.args[2], "ON"):
		c.session.muted, r.silenced = false, false
		r.out.OK()
	case equalFold(r.args[2], "OFF"):
		c.session.muted, r.silenced = true, true
	case equalFold(r.args[2], "SKIP"):
		c.session.skips, r.silenced = true, true
	default:
		return errSyntax
	}
	return nil
}
