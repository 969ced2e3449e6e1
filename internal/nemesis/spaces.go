//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// spaces is a network of namespaces: one a node, each with a pair of virtual
// cards whose other end is a port of one bridge. The bridge has an address too,
// from which clients come.
type spaces struct {
	name   string // of everything that is made; tn, and the process that made it
	subnet string // the first three bytes
}

// prefix begins the name of everything that is made outside of the run's directory.
const prefix = "tn"

func runName(pid int) string { return prefix + strconv.Itoa(pid) }

// newSpaces makes the network. Its subnet is one that no card of this machine has.
func newSpaces(ctx context.Context) (*spaces, error) {
	n := &spaces{name: runName(os.Getpid())}
	routes, err := tool(ctx, "", "ip", "-4", "route", "show", "table", "all")
	if err != nil {
		return nil, err
	}
	for i := range 250 {
		n.subnet = fmt.Sprintf("10.213.%d", (os.Getpid()+i)%250+1)
		if !strings.Contains(routes, n.subnet+".") {
			break
		}
	}
	lines := []string{
		"ip link add %[1]s type bridge",
		"ip addr add %[2]s.254/24 dev %[1]s",
		"ip link set %[1]s up",
	}
	for _, id := range ids {
		lines = append(lines, n.card(id)...)
	}
	for i := range lines {
		lines[i] = strings.NewReplacer("%[1]s", n.name, "%[2]s", n.subnet).Replace(lines[i])
	}
	if err := tools(ctx, lines...); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *spaces) card(id string) []string {
	in, out := n.name+id+"i", n.name+id
	return []string{
		"ip netns add " + out,
		"ip link add " + out + " type veth peer name " + in,
		"ip link set " + in + " netns " + out,
		"ip link set " + out + " master " + n.name + " up",
		"ip -n " + out + " addr add " + n.addr(id) + "/24 dev " + in,
		"ip -n " + out + " link set " + in + " up",
		"ip -n " + out + " link set lo up",
	}
}

func (n *spaces) addr(id string) string { return fmt.Sprintf("%s.%d", n.subnet, place(id)+1) }

func (n *spaces) view(_, to string) string { return n.addr(to) }

func (n *spaces) space(id string) string { return filepath.Join("/run/netns", n.name+id) }

// cut lets each node drop what arrives from those it is not to hear, in one step a node.
func (n *spaces) cut(ctx context.Context, ways []way) error {
	for _, id := range ids {
		var b strings.Builder
		b.WriteString("table ip triad\ndelete table ip triad\n")
		b.WriteString("table ip triad {\n chain deaf {\n type filter hook input priority 0;\n")
		for _, w := range ways {
			if w.to == id {
				fmt.Fprintf(&b, "  ip saddr %s drop\n", n.addr(w.from))
			}
		}
		b.WriteString(" }\n}\n")
		if _, err := tool(ctx, b.String(), "ip", "netns", "exec", n.name+id, "nft", "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

func (n *spaces) slow(ctx context.Context, id string, rate int) error {
	dev := n.name + id + "i"
	if rate == 0 {
		return tools(ctx, fmt.Sprintf("tc -n %s%s qdisc del dev %s root", n.name, id, dev))
	}
	return tools(ctx, fmt.Sprintf("tc -n %s%s qdisc replace dev %s root tbf rate %dkbit burst 1600 latency 2s", n.name, id, dev, rate))
}

func (n *spaces) close() error { return removeSpaces(context.Background(), n.name) }

// removeSpaces removes what is there of the network of a name.
func removeSpaces(ctx context.Context, name string) error {
	var errs []error
	for _, id := range ids {
		if _, err := os.Stat(filepath.Join("/run/netns", name+id)); err == nil {
			errs = append(errs, tools(ctx, "ip netns del "+name+id))
		}
		errs = append(errs, removeCard(ctx, name+id))
	}
	return errors.Join(append(errs, removeCard(ctx, name))...)
}

// removeCard removes a card that may be on its way out with its namespace.
func removeCard(ctx context.Context, name string) error {
	file := filepath.Join("/sys/class/net", name)
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	err := tools(ctx, "ip link del "+name)
	if _, gone := os.Stat(file); gone != nil {
		return nil
	}
	return err
}

var ownName = regexp.MustCompile(`^` + prefix + `(\d+)([a-z]?)$`)

// leftover returns the names of runs whose process is gone, of which something
// with one of these names is still there.
func leftover(names []string) (dead []string) {
	seen := map[string]bool{}
	for _, name := range names {
		m := ownName.FindStringSubmatch(name)
		if m == nil || seen[m[1]] {
			continue
		}
		seen[m[1]] = true
		if _, err := os.Stat("/proc/" + m[1]); errors.Is(err, os.ErrNotExist) {
			dead = append(dead, prefix+m[1])
		}
	}
	return dead
}

// sweepSpaces removes the networks of runs that were killed.
func sweepSpaces(ctx context.Context) error {
	var names []string
	for _, dir := range []string{"/run/netns", "/sys/class/net"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // none was ever made
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	var errs []error
	for _, name := range leftover(names) {
		errs = append(errs, removeSpaces(ctx, name))
	}
	return errors.Join(errs...)
}
