package policy

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// A history is stored as: the number of sign-ins, the seconds of the first and from it
// to the last (varints); the weight of all; and of each feature in order, how many
// counters it has (a byte), and of each of these its value (8 bytes), weight, days before
// the last sign-in (2 bytes), how many sign-ins ago it was seen (varint) and for a
// browser its newest version (2 bytes). Weights are kept to 1/256, in 2 bytes.

const (
	perWeight = 256
	// longAgo is more sign-ins ago than anything asks for: it keeps the number short.
	longAgo = 1<<14 - 1
)

// errHistory says that a history was not written by us.
var errHistory = errors.New("policy: malformed history")

// kept is a weight as it is kept.
func kept(w float64) uint16 {
	return uint16(min(math.Round(float64(w*perWeight)), math.MaxUint16))
}

// MarshalBinary writes a history.
func (h *History) MarshalBinary() ([]byte, error) {
	if h.SignIns < 0 {
		return nil, errHistory
	}
	out := binary.AppendUvarint(make([]byte, 0, 768), uint64(h.SignIns))
	if h.SignIns == 0 {
		return out, nil
	}
	out = binary.AppendVarint(out, h.FirstAt.Unix())
	out = binary.AppendUvarint(out, uint64(max(0, h.LastAt.Unix()-h.FirstAt.Unix())))
	out = binary.BigEndian.AppendUint16(out, kept(h.weight))
	last := dayOf(h.LastAt)
	for f, counters := range h.counters {
		out = append(out, byte(len(counters))) //nolint:gosec // see mostOf
		for _, c := range counters {
			out = binary.BigEndian.AppendUint64(out, uint64(c.Value))
			out = binary.BigEndian.AppendUint16(out, kept(c.Weight))
			out = binary.BigEndian.AppendUint16(out, uint16(min(max(last-c.Day, 0), math.MaxUint16)))
			out = binary.AppendUvarint(out, uint64(min(max(h.SignIns-c.SignIn, 0), longAgo)))
			if Feature(f) == Browser {
				out = binary.BigEndian.AppendUint16(out, uint16(min(max(c.Release, 0), math.MaxUint16)))
			}
		}
	}
	return out, nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (h *History) UnmarshalBinary(data []byte) error {
	r := reader{rest: data}
	read := History{SignIns: int64(r.uvarint(math.MaxInt64))} //nolint:gosec // bounded
	if read.SignIns > 0 {
		first := r.varint()
		last := first + int64(r.uvarint(math.MaxInt32*8)) //nolint:gosec // bounded
		read.FirstAt, read.LastAt = time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC()
		read.weight = float64(r.uint16()) / perWeight
		day := dayOf(read.LastAt)
		for f := range read.counters {
			n := int(r.byte())
			if n > mostOf[f] {
				return errHistory
			}
			if n == 0 {
				continue
			}
			read.counters[f] = make([]Counter, n)
			for i := range read.counters[f] {
				c := &read.counters[f][i]
				c.Value, c.Weight, c.Day = Hash(r.uint64()), float64(r.uint16())/perWeight, day-int(r.uint16())
				c.SignIn = read.SignIns - int64(r.uvarint(longAgo)) //nolint:gosec // bounded
				if Feature(f) == Browser {
					c.Release = int(r.uint16())
				}
			}
		}
	}
	if r.bad || len(r.rest) > 0 {
		return errHistory
	}
	*h = read
	return nil
}

// reader reads what may be too short.
type reader struct {
	rest []byte
	bad  bool
}

// take returns the next n bytes, zeros if there are fewer.
func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.bad, r.rest = true, nil
		return make([]byte, n)
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	return r.advance(v, n)
}

func (r *reader) advance(v int64, n int) int64 {
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// uvarint returns the next number, which is most at most.
func (r *reader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if v > most {
		r.bad, n = true, 0
	}
	return uint64(r.advance(int64(v), n)) //nolint:gosec // there and back
}
