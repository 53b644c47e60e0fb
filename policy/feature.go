package policy

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
)

// Feature is one thing that is seen of an attempt and compared with what is
// remembered.
type Feature uint8

// The features. Those of a chain are coarse to fine: see [NetworkChain] and
// [AgentChain]. Their numbers are stored in histories, and are never used again for
// anything else.
const (
	Country Feature = iota
	ASN             // who announces the network
	Block           // /24 or /48
	Address
	DeviceType // phone, tablet, desktop, ...
	System     // the operating system, with its version
	Browser    // its family
	Version    // and its major version
	Agent      // the whole user agent
	Region
	City
	Device // the device cookie's
	Place  // see [Point]; not a hash
	features
)

// Features is how many there are.
const Features = int(features)

var featureNames = [Features]string{
	"country", "asn", "block", "address", "device type", "system", "browser", "version", "agent", "region", "city", "device", "place",
}

// String names the feature, as [Signal.Level] does.
func (f Feature) String() string {
	if int(f) < len(featureNames) {
		return featureNames[f]
	}
	return fmt.Sprintf("feature %d", uint8(f))
}

// NetworkChain is where an attempt comes from, coarse to fine; a value of it stands for
// all the coarser ones as well.
func NetworkChain() [4]Feature { return [4]Feature{Country, ASN, Block, Address} }

// AgentChain is what an attempt is made with, coarse to fine; likewise.
func AgentChain() [4]Feature { return [4]Feature{DeviceType, System, Browser, Version} }

// Hash is a keyed hash of a value: enough to tell a person's few values apart, too
// little to find out whose they are without the key. 0 is a value that is not known.
type Hash uint64

// MarshalText writes eleven characters, none for an unknown value.
func (h Hash) MarshalText() ([]byte, error) {
	if h == 0 {
		return nil, nil
	}
	return base64.RawURLEncoding.AppendEncode(nil, binary.BigEndian.AppendUint64(nil, uint64(h))), nil
}

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	*h = 0
	if len(text) == 0 {
		return nil
	}
	raw, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil || len(raw) != 8 {
		return fmt.Errorf("policy: a hash has eleven characters of base64url, not %q", text)
	}
	*h = Hash(binary.BigEndian.Uint64(raw))
	return nil
}

// Seen is a value of an attempt, and how common it is among everybody's sign-ins.
type Seen struct {
	Value Hash    `json:"value,omitzero"`
	Count float64 `json:"count,omitzero"` // of all sign-ins with this value, the old ones weighing less
	// Coarser is how many values of the coarser features of its chain were seen with it;
	// 0 is one each.
	Coarser int `json:"coarser,omitzero"`
}

// Crowd is what is known of everybody's sign-ins when an attempt is made: all that a
// scorer may know of others, so that a decision can be derived again.
type Crowd struct {
	SignIns  float64           `json:"sign_ins"` // that succeeded, the old ones weighing less
	People   float64           `json:"people"`
	Distinct [Features]float64 `json:"distinct"` // values that each feature has
}

// Point is a place on earth, to a hundredth of a degree (about a kilometre).
type Point struct {
	Lat int16 `json:"lat"` // hundredths of degrees north
	Lon int16 `json:"lon"` // hundredths of degrees east
}

// Hash packs the point into a value of the feature Place.
func (p Point) Hash() Hash {
	return Hash(1)<<32 | Hash(uint16(p.Lat))<<16 | Hash(uint16(p.Lon)) //nolint:gosec // there and back
}

// PointOf is what [Point.Hash] packed; false if it did not.
func PointOf(h Hash) (Point, bool) {
	return Point{Lat: int16(h >> 16 & math.MaxUint16), Lon: int16(h & math.MaxUint16)}, h>>32 == 1 //nolint:gosec // there and back
}
