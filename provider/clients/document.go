package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// Limits of a JSON document from outside.
const (
	maxDocument = 64 << 10 // bytes
	maxDepth    = 8
)

// readDocument reads one JSON document, up to its limit.
func readDocument(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	if len(text) > maxDocument {
		return nil, fault.TooLarge("", fmt.Sprintf("the document is longer than %d KiB", maxDocument>>10))
	}
	return text, nil
}

// decodeDocument decodes one JSON object into the struct that into points to.
// Unlike encoding/json by itself it refuses what two readers could read in two
// ways: unknown members, two members of one name, names in another case, text
// that is not UTF-8, and anything after the object.
func decodeDocument(text []byte, into any) error {
	names, err := memberNames(text)
	if err != nil {
		return err
	}
	fields := membersOf(reflect.TypeOf(into).Elem())
	var faults []*fault.Error
	for _, name := range names {
		if fields[name] == nil {
			faults = append(faults, fault.Invalid(name, "is not a member that is known here"))
		}
	}
	faults = append(faults, unknownWithin(text, fields)...)
	if len(faults) > 0 {
		return fault.Join(faults...)
	}
	err = json.Unmarshal(text, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fault.Invalid(memberPath(wrong.Field, fields), "must be "+inWords(wrong.Type))
	}
	if err != nil {
		return notJSON(err)
	}
	return nil
}

// membersOf returns the types of a struct's members, by their names in JSON.
func membersOf(t reflect.Type) map[string]reflect.Type {
	members := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			members[name] = field.Type
		}
	}
	return members
}

// isObjects reports whether a member of this type is a list of objects.
func isObjects(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// unknownWithin says which members of the objects in an object's lists are unknown;
// nothing of what has another type, which is for the decoder to say.
func unknownWithin(text []byte, members map[string]reflect.Type) (faults []*fault.Error) {
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var list []map[string]json.RawMessage
		if !isObjects(members[name]) || json.Unmarshal(all[name], &list) != nil {
			continue
		}
		known := membersOf(members[name].Elem())
		for _, object := range list {
			for _, member := range slices.Sorted(maps.Keys(object)) {
				if known[member] == nil {
					faults = append(faults, fault.Invalid(name+"."+member, "is not a member that is known here"))
				}
			}
		}
	}
	return faults
}

// memberPath is what a decoder calls a member, from the first name on that a client
// knows: before it there may be those of structs.
func memberPath(field string, members map[string]reflect.Type) string {
	path := strings.Split(field, ".")
	for i, name := range path {
		if members[name] != nil {
			return strings.Join(path[i:], ".")
		}
	}
	return path[len(path)-1]
}

// inWords says what a member of this type looks like in JSON.
func inWords(t reflect.Type) string {
	if isObjects(t) {
		return "a list of objects"
	}
	switch t.Kind() { //nolint:exhaustive // members have these kinds, all others are objects
	case reflect.Bool:
		return "true or false"
	case reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list of strings"
	case reflect.String:
		return "a string"
	}
	return "an object"
}

func notJSON(err error) *fault.Error {
	f := fault.Invalid("", "the document is not valid JSON")
	f.Err = err
	return f
}

// CheckObject refuses what is no JSON object, or one that two readers could read
// in two ways: members of one name, text that is not UTF-8, anything after it; or
// one that is nested deeper than anything that is read here. Its error is a fault.
func CheckObject(text []byte) error {
	_, err := memberNames(text)
	return err
}

// DecodeObject decodes one JSON object into the struct that into points to, and
// refuses what [CheckObject] refuses and members that the struct does not have.
func DecodeObject(text []byte, into any) error { return decodeDocument(text, into) }

// mergePatch decodes into the struct that into points to what base becomes by a
// merge patch (RFC 7396). One level is all there is to merge: where a member is an
// object (jwks), it is a list, and a list is replaced as a whole.
func mergePatch(base any, patch []byte, into any) error {
	if len(patch) > maxDocument {
		return fault.TooLarge("", "the patch is too long")
	}
	names, err := memberNames(patch)
	if err != nil {
		return err
	}
	text, err := json.Marshal(base)
	if err != nil {
		return err
	}
	var target, changes map[string]json.RawMessage
	if err := json.Unmarshal(text, &target); err != nil {
		return err
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return notJSON(err)
	}
	for _, name := range names {
		if string(changes[name]) == "null" {
			delete(target, name)
		} else {
			target[name] = changes[name]
		}
	}
	merged, err := json.Marshal(target)
	if err != nil {
		return err
	}
	return decodeDocument(merged, into)
}

// memberNames returns the names of an object's own members, after a look at all
// that is in it.
func memberNames(text []byte) ([]string, error) {
	if !utf8.Valid(text) {
		return nil, notJSON(errors.New("not valid UTF-8"))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	if first != json.Delim('{') {
		return nil, fault.Invalid("", "the document must be a JSON object")
	}
	names, err := walkObject(dec, 1)
	if err != nil {
		return nil, asFault(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.Invalid("", "there is something after the JSON object")
	}
	return names, nil
}

// nulError says where there is text that no database keeps.
type nulError struct{ path string }

func (e *nulError) Error() string { return "NUL in " + e.path }

// within adds the member's name to where a NUL was found.
func within(name string, err error) error {
	var found *nulError
	if errors.As(err, &found) {
		found.path = strings.TrimSuffix(name+"."+found.path, ".")
	}
	return err
}

// asFault makes what a walk found a fault.
func asFault(err error) error {
	var found *nulError
	switch {
	case !errors.As(err, &found):
		return err
	case found.path == "":
		return fault.Invalid("", "the document has a member with NUL in its name")
	}
	return fault.Invalid(found.path, "has text with NUL in it")
}

// walkObject reads an object whose brace was read.
func walkObject(dec *json.Decoder, depth int) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for {
		token, err := dec.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		name, ok := token.(string)
		if !ok { // the closing brace: the decoder lets nothing else stand here
			return names, nil
		}
		if seen[name] {
			return nil, fault.Invalid(name, "is there twice")
		}
		if strings.IndexByte(name, 0) >= 0 {
			return nil, &nulError{}
		}
		seen[name] = true
		names = append(names, name)
		if err := walkValue(dec, depth); err != nil {
			return nil, within(name, err)
		}
	}
}

func walkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	if depth++; depth > maxDepth {
		return fault.Invalid("", fmt.Sprintf("the document is nested deeper than %d levels", maxDepth))
	}
	if text, ok := token.(string); ok && strings.IndexByte(text, 0) >= 0 {
		return &nulError{}
	}
	switch token {
	case json.Delim('{'):
		_, err = walkObject(dec, depth)
		return err
	case json.Delim('['):
		for dec.More() {
			if err := walkValue(dec, depth); err != nil {
				return err
			}
		}
		if _, err = dec.Token(); err != nil {
			return notJSON(err)
		}
	}
	return nil
}
