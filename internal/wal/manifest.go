package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// The manifest is "TRIADMAN", a msgpack array of seven, and the CRC-32C of both
// in four bytes, little endian:
//
//	0  format   uint, 1
//	1  cluster  bin, 16 bytes
//	2  node     str
//	3  segment  uint, number of the first segment
//	4  first    uint, LSN of the first entry
//	5  cut      array of 0, or of 1: the last LSN to keep of a cut that has begun
//	6  history  array of 2n: term, start; of the terms that start before first
//
// It is written when the log is made, before segments are retired, around a cut,
// and when the log starts again elsewhere; never while it only grows. A reader
// refuses a format it does not know.
const (
	manifestFormat   = 1
	manifestFields   = 7
	manifestMagic    = "TRIADMAN"
	manifestBytesMax = 2 << 20
)

// manifest says where a log begins.
type manifest struct {
	cluster [16]byte
	node    topology.NodeID
	segment uint64
	first   record.LSN
	cutting bool
	cut     record.LSN // the last LSN to keep, while cutting
	history topology.History
}

func (m manifest) encode() []byte {
	w := pack.NewWriter([]byte(manifestMagic))
	w.Array(manifestFields)
	w.Uint(manifestFormat)
	w.Bin(m.cluster[:])
	w.Str(string(m.node))
	w.Uint(m.segment)
	w.Uint(uint64(m.first))
	if m.cutting {
		w.Array(1)
		w.Uint(uint64(m.cut))
	} else {
		w.Array(0)
	}
	w.Array(2 * len(m.history))
	for _, t := range m.history {
		w.Uint(t.Term)
		w.Uint(uint64(t.Start))
	}
	b := w.Bytes()
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errManifest = errors.New("not a manifest, or it does not match its sum")

func parseManifest(file string, b []byte) (manifest, error) {
	var m manifest
	n := len(b) - 4
	if n < len(manifestMagic) || !bytes.HasPrefix(b, []byte(manifestMagic)) || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return m, errManifest
	}
	rd := pack.NewReader(b[len(manifestMagic):n])
	fields := rd.Array()
	if f := rd.Uint(); rd.Err() == nil && f != manifestFormat {
		return m, &FormatError{File: file, Format: f, Known: manifestFormat}
	}
	if fields != manifestFields {
		rd.Fail(fmt.Sprintf("%d fields expected, found %d", manifestFields, fields))
	}
	if c := rd.Bin(); len(c) == len(m.cluster) {
		m.cluster = [16]byte(c)
	} else {
		rd.Fail("cluster id is not of 16 bytes")
	}
	m.node = topology.NodeID(rd.StrMax(63))
	m.segment = rd.Uint()
	m.first = record.LSN(rd.Uint())
	if m.cutting = rd.ArrayMax(1) == 1; m.cutting {
		m.cut = record.LSN(rd.Uint())
	}
	terms := rd.ArrayMax(2 * termsMax)
	if terms%2 != 0 {
		rd.Fail("terms are not whole")
	}
	for ; terms > 0 && rd.Err() == nil; terms -= 2 {
		m.history = append(m.history, topology.TermStart{Term: rd.Uint(), Start: record.LSN(rd.Uint())})
	}
	if rd.Err() == nil && (!ascending(m.history) || m.first == 0 || m.segment == 0) {
		rd.Fail("no segment, no first LSN, or terms out of order")
	}
	if err := rd.Done(); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// save makes m the manifest of a directory.
func (m manifest) save(d folder) error { return d.replace(manifestName, m.encode()) }

// ascending reports whether terms and starts grow.
func ascending(h topology.History) bool {
	for i := range h {
		if h[i].Term == 0 || h[i].Start == 0 || i > 0 && (h[i].Term <= h[i-1].Term || h[i].Start <= h[i-1].Start) {
			return false
		}
	}
	return true
}

// before returns the terms of h that start before lsn. It shares h, and what is
// appended to it does not.
func before(h topology.History, lsn record.LSN) topology.History {
	n := len(h)
	for n > 0 && h[n-1].Start >= lsn {
		n--
	}
	return h[:n:n]
}

// grown returns h with a term that starts at lsn, if it is a new one.
func grown(h topology.History, term uint64, lsn record.LSN) topology.History {
	if term <= h.Last() {
		return h
	}
	if len(h) >= termsMax {
		h = append(topology.History(nil), h[len(h)-termsMax+1:]...)
	}
	return append(h, topology.TermStart{Term: term, Start: lsn})
}
