package storage

import "reflect"

// reflectValue returns the struct that row points to.
func reflectValue(row any) reflect.Value { return reflect.Indirect(reflect.ValueOf(row)) }
