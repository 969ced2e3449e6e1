package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/triad-kv/triad/topology"
)

// answer is one group of etcd's refusals and what it is here.
type answer struct {
	is     error   // what callers match
	advice string  // what can be done
	errs   []error // of etcd
	again  bool    // the same request may succeed later
}

// refusals are answers after which a request was not, and will not be, applied.
var refusals = []answer{
	{is: topology.ErrDenied, advice: "etcd does not let this user in: check the user name, the password and the role's permissions on the prefix", errs: []error{
		rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrUserNotFound, rpctypes.ErrInvalidAuthMgmt, rpctypes.ErrPermissionNotGranted,
	}},
	// A token that etcd has forgotten, as after a restart, is fetched anew by the client.
	{is: topology.ErrDenied, advice: "etcd does not know this user: set a user name and a password", again: true, errs: []error{
		rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty,
	}},
	{is: topology.ErrTooLarge, advice: "etcd takes no request of that size: see its --max-request-bytes", errs: []error{rpctypes.ErrRequestTooLarge}},
	{is: topology.ErrOverloaded, advice: "etcd has too much to do", again: true, errs: []error{rpctypes.ErrTooManyRequests}},
	{is: topology.ErrDiskFull, advice: "etcd has reached its quota: compact and defragment it, then disarm the alarm", again: true, errs: []error{rpctypes.ErrNoSpace}},
	{is: topology.ErrUnavailable, advice: "etcd has found its own data damaged: replace that member", again: true, errs: []error{rpctypes.ErrCorrupt}},
	{is: topology.ErrUnavailable, advice: "an endpoint is a learner: name voting members", again: true, errs: []error{rpctypes.ErrGRPCNotSupportedForLearner}},
}

// refusalOf returns the group of an answer of etcd, nil if it is none of them:
// then a request that may have been sent may have been applied.
func refusalOf(err error) *answer {
	for i, r := range refusals {
		if slices.ContainsFunc(r.errs, func(e error) bool { return errors.Is(rpctypes.Error(err), e) || errors.Is(err, e) }) {
			return &refusals[i]
		}
	}
	return nil
}

// ours are the errors of this package and the data directory, which no second
// request mends.
var ours = []error{topology.ErrStale, topology.ErrMalformed, topology.ErrFailed, topology.ErrTooLarge, topology.ErrTimeout}

func isOurs(err error) bool {
	return slices.ContainsFunc(ours, func(e error) bool { return errors.Is(err, e) })
}

// transient reports whether a request that failed may succeed when it is made again.
func transient(err error) bool {
	if isOurs(err) {
		return false
	}
	if r := refusalOf(err); r != nil {
		return r.again
	}
	return status.Code(err) != codes.InvalidArgument
}

// explain gives err the sentinel that callers match, and says what can be done.
func (l *link) explain(ctx context.Context, err error) error {
	if isOurs(err) {
		return err
	}
	if r := refusalOf(err); r != nil {
		return fmt.Errorf("%w: %s: %w", r.is, r.advice, err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w: %w", topology.ErrTimeout, ctx.Err(), err)
	}
	endpoints := strings.Join(l.options.Endpoints, ", ")
	switch {
	case errors.Is(err, errNoAnswer):
		return fmt.Errorf("%w: etcd (%s) did not answer within %v: has it a quorum, and do the endpoints and TLS fit? %w",
			topology.ErrUnavailable, endpoints, l.options.RequestTimeout, err)
	case status.Code(err) == codes.Unavailable:
		return fmt.Errorf("%w: no member of etcd (%s) serves: is it running, has it a quorum, and do the endpoints and TLS fit? %w",
			topology.ErrUnavailable, endpoints, err)
	}
	return fmt.Errorf("%w: etcd (%s): %w", topology.ErrUnavailable, endpoints, err)
}
