package storage

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"
	"unicode/utf8"
)

// A backup is gzip of lines of JSON, the same whichever database it is of:
//
//	{"doorstep_backup": 1, "schema": 7, ..., "tables": [{"name": "persons", "columns": [{"name": "id", "kind": "text"}, ...]}, ...]}
//	[0, "0198...", ...]      a row of table 0: its columns in their order; bytes are base64, a moment is microseconds
//	...
//	{"rows": 12, "keks": ["0123456789abcdef"], "sha256": "..."}      SHA-256 of every line before this one
//
// Tables come in the order in which their rows can be added. A file that ends before
// the last line, or has another hash, is no backup.

// ErrBackup says that what was read is no backup, or not a whole one, or was changed.
var ErrBackup = errors.New("storage: not a whole backup")

const (
	backupFormat = 1
	// maxLine bounds one row, and so what a reader keeps in memory.
	maxLine = 32 << 20
	// maxTables and maxColumns are more than any schema of ours has.
	maxTables, maxColumns = 256, 256
)

// Backup says what is in a backup.
type Backup struct {
	Format   int           `json:"doorstep_backup"`
	Schema   int64         `json:"schema"`   // the newest migration that the database had
	Database string        `json:"database"` // sqlite or postgres
	Version  string        `json:"version"`  // of the doorstep that made it
	MadeAt   time.Time     `json:"made_at"`  // by the database's clock
	Tables   []BackupTable `json:"tables"`   // each behind those that its rows refer to
	Rows     int64         `json:"-"`        // of all tables
	KEKs     []string      `json:"-"`        // ids of the key-encryption keys that something in it is sealed with
}

// BackupTable is a table in a backup.
type BackupTable struct {
	Name    string         `json:"name"`
	Columns []BackupColumn `json:"columns"`
}

// BackupColumn is a column in a backup.
type BackupColumn struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // integer, number, text or bytes
}

type backupEnd struct {
	Rows   int64    `json:"rows"`
	KEKs   []string `json:"keks"`
	SHA256 string   `json:"sha256"`
}

// SealedWith returns the id of the key-encryption key that a value was sealed with,
// or "" if it was not sealed; it is the keys room's.
type SealedWith func(sealed []byte) string

// keksOf gathers which keys the sealed columns of rows need.
type keksOf struct {
	sealedWith SealedWith
	found      []string
}

func (k *keksOf) see(t *BackupTable, row []any) {
	for _, c := range SealedColumns() {
		if c.Table != t.Name {
			continue
		}
		i := slices.IndexFunc(t.Columns, func(b BackupColumn) bool { return b.Name == c.Column })
		if i < 0 {
			continue
		}
		sealed, _ := row[i].([]byte)
		if id := k.sealedWith(sealed); id != "" && !slices.Contains(k.found, id) {
			k.found = append(k.found, id)
			slices.Sort(k.found)
		}
	}
}

// archiveWriter writes a backup.
type archiveWriter struct {
	zip  *gzip.Writer
	hash hash.Hash
	head *Backup
	keks keksOf
	rows int64
}

func newArchiveWriter(w io.Writer, head *Backup, sealedWith SealedWith) (*archiveWriter, error) {
	a := &archiveWriter{zip: gzip.NewWriter(w), hash: sha256.New(), head: head, keks: keksOf{sealedWith: sealedWith}}
	return a, a.line(head)
}

func (a *archiveWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("storage: backup: %w", err)
	}
	if len(text) >= maxLine {
		return fmt.Errorf("storage: backup: a row of more than %d bytes", maxLine)
	}
	text = append(text, '\n')
	a.hash.Write(text)
	_, err = a.zip.Write(text)
	return err
}

// row writes a row of the table of that number: int64, string, []byte or nil each.
func (a *archiveWriter) row(table int, values []any) error {
	for i, v := range values {
		if s, ok := v.(string); ok && !utf8.ValidString(s) {
			t := a.head.Tables[table]
			return fmt.Errorf("storage: backup: a row's %s.%s is not UTF-8", t.Name, t.Columns[i].Name)
		}
	}
	a.keks.see(&a.head.Tables[table], values)
	a.rows++
	return a.line(append([]any{table}, values...))
}

func (a *archiveWriter) close() error {
	end := backupEnd{Rows: a.rows, KEKs: a.keks.found, SHA256: hex.EncodeToString(a.hash.Sum(nil))}
	a.head.Rows, a.head.KEKs = end.Rows, end.KEKs
	if err := a.line(end); err != nil {
		return err
	}
	return a.zip.Close()
}

// archiveReader reads a backup, and keeps one row in memory.
type archiveReader struct {
	lines *bufio.Reader
	hash  hash.Hash
	head  Backup
	keks  keksOf
	rows  int64
	table int64 // of the last row
}

// damaged is an ErrBackup with what is wrong.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBackup}, args...)...)
}

// newArchiveReader reads the head. ErrBackup: it has none; ErrSchemaAhead: a newer
// doorstep wrote it.
func newArchiveReader(r io.Reader, sealedWith SealedWith) (*archiveReader, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, damaged("it is not gzip (%v)", err)
	}
	a := &archiveReader{lines: bufio.NewReaderSize(zip, 64<<10), hash: sha256.New(), keks: keksOf{sealedWith: sealedWith}}
	text, err := a.line()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &a.head); err != nil || a.head.Format < 1 {
		return nil, damaged("it does not begin as a backup of doorstep does")
	}
	newest, err := newestSchema()
	if err != nil {
		return nil, err
	}
	if a.head.Format > backupFormat || a.head.Schema > newest {
		return nil, fmt.Errorf("%w (its format is %d and its schema %d, this one knows %d and %d)", ErrSchemaAhead, a.head.Format, a.head.Schema, backupFormat, newest)
	}
	a.hash.Write(text)
	return a, a.checkHead()
}

func (a *archiveReader) checkHead() error {
	if len(a.head.Tables) > maxTables {
		return damaged("it has %d tables", len(a.head.Tables))
	}
	for i, t := range a.head.Tables {
		if t.Name == "" || len(t.Columns) == 0 || len(t.Columns) > maxColumns || slices.ContainsFunc(a.head.Tables[:i], func(o BackupTable) bool { return o.Name == t.Name }) {
			return damaged("its table %q", t.Name)
		}
		for j, c := range t.Columns {
			known := slices.Contains([]string{kindInteger, kindNumber, kindText, kindBytes}, c.Kind)
			if !known || c.Name == "" || slices.ContainsFunc(t.Columns[:j], func(o BackupColumn) bool { return o.Name == c.Name }) {
				return damaged("its column %s.%s", t.Name, c.Name)
			}
		}
	}
	return nil
}

// line reads a line with its end.
func (a *archiveReader) line() ([]byte, error) {
	var long []byte
	for {
		part, err := a.lines.ReadSlice('\n')
		switch {
		case err == nil && long == nil:
			return part, nil
		case err == nil:
			return append(long, part...), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, damaged("it ends in the middle or is damaged (%v)", err)
		case len(long)+len(part) > maxLine:
			return nil, damaged("it has a line of more than %d bytes", maxLine)
		}
		long = append(long, part...)
	}
}

// each calls row for every row, in order, and returns nil once the end was read and
// the hash is right.
func (a *archiveReader) each(row func(table int, values []any) error) error {
	for {
		text, err := a.line()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte("{")) {
			return a.end(text)
		}
		a.hash.Write(text)
		table, values, err := a.parse(text)
		if err != nil {
			return err
		}
		a.rows++
		a.keks.see(&a.head.Tables[table], values)
		if err := row(table, values); err != nil {
			return err
		}
	}
}

func (a *archiveReader) end(text []byte) error {
	var end backupEnd
	if err := json.Unmarshal(text, &end); err != nil {
		return damaged("its last line")
	}
	if end.SHA256 != hex.EncodeToString(a.hash.Sum(nil)) || end.Rows != a.rows {
		return damaged("its checksum is another one")
	}
	if _, err := a.lines.ReadByte(); !errors.Is(err, io.EOF) { // gzip's own checksum comes before this end
		return damaged("something follows its end")
	}
	// Another version may have known of other columns that something is sealed in.
	a.head.Rows, a.head.KEKs = end.Rows, slices.Compact(slices.Sorted(slices.Values(slices.Concat(end.KEKs, a.keks.found))))
	return nil
}

// parse reads a row.
func (a *archiveReader) parse(text []byte) (table int, values []any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var all []any
	if err := d.Decode(&all); err != nil || len(all) == 0 {
		return 0, nil, damaged("row %d", a.rows+1)
	}
	n, ok := all[0].(json.Number)
	number, err := n.Int64()
	if !ok || err != nil || number < a.table || number >= int64(len(a.head.Tables)) {
		return 0, nil, damaged("row %d names no table", a.rows+1)
	}
	a.table = number
	t := a.head.Tables[number]
	if len(all)-1 != len(t.Columns) {
		return 0, nil, damaged("row %d has %d columns, table %s has %d", a.rows+1, len(all)-1, t.Name, len(t.Columns))
	}
	for i, c := range t.Columns {
		v, ok := ofKind(c.Kind, all[i+1])
		if !ok {
			return 0, nil, damaged("row %d: %s.%s is not %s", a.rows+1, t.Name, c.Name, c.Kind)
		}
		all[i+1] = v
	}
	return int(number), all[1:], nil
}

// ofKind is a value of JSON as the store has it.
func ofKind(kind string, v any) (any, bool) {
	if v == nil {
		return nil, true
	}
	switch kind {
	case kindInteger:
		n, _ := v.(json.Number)
		i, err := n.Int64()
		return i, err == nil
	case kindNumber:
		n, _ := v.(json.Number)
		x, err := n.Float64()
		return x, err == nil
	case kindText:
		s, ok := v.(string)
		return s, ok
	}
	s, ok := v.(string)
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, ok && err == nil
}

// ReadBackup reads a whole backup and says what is in it, or ErrBackup. It keeps
// one row in memory.
func ReadBackup(r io.Reader, sealedWith SealedWith) (*Backup, error) {
	a, err := newArchiveReader(r, sealedWith)
	if err != nil {
		return nil, err
	}
	if err := a.each(func(int, []any) error { return nil }); err != nil {
		return nil, err
	}
	return &a.head, nil
}
