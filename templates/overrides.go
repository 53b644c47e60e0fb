package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"
)

// Overrides are an operator's own mails and words: files mails/NAME.html and mails/NAME.txt, each in the place of ours of that
// name, and locales/LANG.json, which has the messages of mails that differ.
type Overrides struct {
	files fstest.MapFS
	words map[string][]byte // by language
}

// Bounds of a directory of overrides.
const (
	maxOverrides    = 100
	maxOverrideSize = 64 << 10
)

// ReadOverrides reads a directory and tries every mail with it in every language. The error names the file and, where
// there is one, the line.
func ReadOverrides(dir fs.FS) (*Overrides, error) {
	o := &Overrides{files: fstest.MapFS{}, words: map[string][]byte{}}
	found := 0
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if found++; found > maxOverrides {
			return fmt.Errorf("there are more than %d files", maxOverrides)
		}
		return o.read(dir, name)
	})
	if err != nil {
		return nil, err
	}
	if _, err := newMails(files, o); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *Overrides) read(dir fs.FS, name string) error {
	if ok, _ := path.Match("mails/*", name); !ok { // the pattern is a good one
		if ok, _ := path.Match("locales/*.json", name); !ok {
			return fmt.Errorf("%s: is neither mails/NAME.html, mails/NAME.txt nor locales/LANG.json", name)
		}
	}
	if _, err := fs.Stat(files, name); err != nil {
		return fmt.Errorf("%s: there is no such file to put it in the place of", name)
	}
	file, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s: is no regular file", name))
	}
	text, err := io.ReadAll(io.LimitReader(file, maxOverrideSize+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(text) > maxOverrideSize:
		return fmt.Errorf("%s: is larger than %d KiB", name, maxOverrideSize>>10)
	case strings.HasPrefix(name, "mails/"):
		o.files[name] = &fstest.MapFile{Data: text}
		return nil
	}
	o.words[strings.TrimSuffix(path.Base(name), ".json")] = text
	return checkWords(name, text)
}

// placed returns the file of that name, the operator's before ours.
func (o *Overrides) placed(ours fs.FS, name string) (string, error) {
	if o != nil && o.files[name] != nil {
		return string(o.files[name].Data), nil
	}
	text, err := fs.ReadFile(ours, name)
	return string(text), err
}

var wordsPlaceholder = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)

// checkWords holds an operator's messages against ours: the same keys, each in one form, and no placeholder that ours has not.
func checkWords(name string, text []byte) error {
	at := func(offset int64, format string, args ...any) error {
		line := 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n"))
		return fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...))
	}
	var own, ours map[string]json.RawMessage
	if err := json.Unmarshal(text, &own); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return at(syntax.Offset, "%v", err)
		}
		return at(0, "%v", err)
	}
	english, err := fs.ReadFile(files, "locales/"+languages[0]+".json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(english, &ours); err != nil {
		return err
	}
	for key, raw := range own {
		line := int64(bytes.Index(text, []byte(`"`+key+`"`)))
		var said, original string
		if ours[key] == nil || !strings.HasPrefix(key, "mail.") {
			return at(line, "%q is no message of mails", key)
		}
		if json.Unmarshal(raw, &said) != nil || strings.TrimSpace(said) == "" {
			return at(line, "%q is no text", key)
		}
		if err := json.Unmarshal(ours[key], &original); err != nil {
			return err
		}
		has := wordsPlaceholder.FindAllStringSubmatch(original, -1)
		for _, p := range wordsPlaceholder.FindAllStringSubmatch(said, -1) {
			if !slices.ContainsFunc(has, func(h []string) bool { return h[1] == p[1] }) {
				return at(line, "%q has no %s", key, p[0])
			}
		}
		if strings.ContainsAny(wordsPlaceholder.ReplaceAllString(said, ""), "{}") {
			return at(line, "%q has a brace that belongs to no placeholder such as {{.Brand}}", key)
		}
	}
	return nil
}
