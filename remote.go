package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// remote is a Node as those far from it see it.
type remote struct{ *Node }

// handle registers what the node answers: the calls of remote clients, each of
// which is one call of this package, and the greeting of nodes.
func (n remote) handle() {
	for method, h := range map[string]func(context.Context, []byte) ([]byte, error){
		call.MethodPut:       n.write("put"),
		call.MethodDelete:    n.write("delete"),
		call.MethodBatch:     n.write("batch"),
		call.MethodGet:       n.get,
		call.MethodSight:     n.sight,
		call.MethodScan:      n.scan,
		call.MethodChange:    remoteParts{n}.change,
		call.MethodLook:      remoteParts{n}.look,
		call.MethodWait:      n.wait,
		call.MethodStatus:    n.status,
		call.MethodMembers:   n.members,
		call.MethodTables:    n.tables,
		call.MethodCreate:    n.create,
		call.MethodDrop:      n.drop,
		call.MethodPromote:   n.promote,
		call.MethodResolve:   n.resolve,
		call.MethodSettle:    func(ctx context.Context, req []byte) ([]byte, error) { return settle(ctx, n, req) },
		call.MethodHistory:   n.history,
		call.MethodHandover:  n.switchover,
		call.MethodRestore:   func(ctx context.Context, req []byte) ([]byte, error) { return restoreAt(ctx, n, req) },
		call.MethodPause:     n.pause,
		call.MethodApprove:   n.approve,
		call.MethodExplain:   n.explain,
		call.MethodConflicts: func(ctx context.Context, req []byte) ([]byte, error) { return conflictsOf(ctx, n, req) },
		call.MethodVerify:    func(ctx context.Context, req []byte) ([]byte, error) { return verifiedBy(ctx, n, req) },
		call.MethodRepair:    func(ctx context.Context, req []byte) ([]byte, error) { return repairedBy(ctx, n, req) },
		call.MethodKept:      func(ctx context.Context, _ []byte) ([]byte, error) { return collectionOf(ctx, n) },
		call.MethodEnrol:     n.addMember,
		call.MethodDismiss:   n.removeMember,
		call.MethodSite:      func(ctx context.Context, req []byte) ([]byte, error) { return siteOf(ctx, n, req) },
		call.MethodSlot:      n.slot,
		call.MethodSlots:     func(ctx context.Context, req []byte) ([]byte, error) { return slotsOf(ctx, n, req) },
	} {
		n.transport.HandleCall(method, topology.PeerClient|topology.PeerNode,
			func(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) { return h(ctx, req) })
	}
	for method, h := range ringMethods(n) {
		n.transport.HandleCall(method, topology.PeerClient|topology.PeerNode,
			func(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) { return h(ctx, req) })
	}
	for method, h := range conflictOrdersOf(n) {
		n.transport.HandleCall(method, topology.PeerClient|topology.PeerNode,
			func(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) { return h(ctx, req) })
	}
	n.transport.HandleClientStream(call.ProtocolWatch, n.watch)
	n.transport.HandleCall(call.MethodForward, topology.PeerNode, n.forwarded)
	n.transport.HandleCall(methodCluster, topology.PeerNode,
		func(context.Context, topology.Peer, []byte) ([]byte, error) { return nil, nil })
}

// malformed is the answer to a request that cannot be read.
func (n remote) malformed(op string, err error) error {
	return n.errorOf(op, "", nil, notApplied(err))
}

func (n remote) write(op string) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, req []byte) ([]byte, error) {
		m, err := call.DecodeWrite(req)
		if err == nil && op != "batch" && (len(m.Writes) != 1 || len(m.Conditions) != 0 || m.Writes[0].Remove != (op == "delete")) {
			err = fmt.Errorf("a %s of another form: %w", op, topology.ErrMalformed)
		}
		if err != nil {
			return nil, n.malformed(op, err)
		}
		var r Receipt
		if op == "batch" {
			r, err = n.Batch(ctx, &Batch{writes: m.Writes, conditions: m.Conditions}, m.Options...)
		} else {
			r, err = inner(n).writeOne(ctx, op, m.Writes[0], m.Options)
		}
		if err != nil {
			return nil, err
		}
		return call.EncodeReceipt(r), nil
	}
}

func (n remote) get(ctx context.Context, req []byte) ([]byte, error) {
	m, err := call.DecodeRead(req)
	if err != nil {
		return nil, n.malformed("get", err)
	}
	r, err := n.Get(ctx, m.Table, m.Key, m.Options...)
	if err != nil {
		return nil, err
	}
	return r.Encode(), nil
}

// scan answers one page, which ends after as many items or bytes as one
// may have.
func (n remote) scan(ctx context.Context, req []byte) ([]byte, error) {
	m, err := call.DecodeScan(req)
	if err != nil {
		return nil, n.malformed("scan", err)
	}
	var page call.Page
	size := 0
	for item, err := range n.Scan(ctx, m.Table, m.From, m.To, m.Options...) {
		if err != nil {
			return nil, err
		}
		if len(page.Items) == m.Items || size >= call.PageBytesMax {
			page.More = true
			break
		}
		page.Items = append(page.Items, item)
		size += len(item.Key) + len(item.Value)
	}
	return page.Encode(), nil
}

func (n remote) wait(ctx context.Context, req []byte) ([]byte, error) {
	t, err := call.DecodeToken(req)
	if err != nil {
		return nil, n.malformed("wait", err)
	}
	if err := n.Wait(ctx, t); err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}

func (n remote) status(_ context.Context, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("status", err)
	}
	return call.EncodeStatus(n.Status()), nil
}

func (n remote) tables(ctx context.Context, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("tables", err)
	}
	tables, err := n.Tables(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]call.Table, len(tables))
	for i, t := range tables {
		out[i] = call.Table(t)
	}
	return call.EncodeTables(out), nil
}

func (n remote) create(ctx context.Context, req []byte) ([]byte, error) {
	tables, err := call.DecodeTables(req)
	if err == nil && len(tables) != 1 {
		err = fmt.Errorf("%d tables, one is made a call: %w", len(tables), topology.ErrMalformed)
	}
	if err != nil {
		return nil, n.malformed("create table", err)
	}
	if err := n.CreateTable(ctx, Table(tables[0])); err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}

func (n remote) drop(ctx context.Context, req []byte) ([]byte, error) {
	name, err := call.DecodeName(req)
	if err != nil {
		return nil, n.malformed("drop table", err)
	}
	if err := n.DropTable(ctx, name); err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}

func (n remote) promote(ctx context.Context, req []byte) ([]byte, error) {
	force, err := call.DecodeForce(req)
	if err != nil {
		return nil, n.malformed("promote", err)
	}
	p, err := n.Promote(ctx, force)
	if err != nil {
		return nil, err
	}
	return call.EncodePromotion(p), nil
}
