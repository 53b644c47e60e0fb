package storage

import (
	"strings"
	"sync"

	"gorm.io/gorm/schema"
)

var columnLists sync.Map

// columns lists an entity's columns as "alias.name AS prefix_name", for a join
// that is scanned into embedded structs.
func columns(entity any, alias, prefix string) string {
	sch, err := schema.Parse(entity, &schemas, schema.NamingStrategy{})
	if err != nil {
		panic("storage: entity: " + err.Error()) // a fault of our own struct
	}
	key := sch.Table + " " + alias + " " + prefix
	if list, ok := columnLists.Load(key); ok {
		return list.(string) //nolint:forcetypeassert // only strings are stored
	}
	names := make([]string, 0, len(sch.DBNames))
	for _, name := range sch.DBNames {
		names = append(names, alias+"."+name+" AS "+prefix+name)
	}
	list := strings.Join(names, ", ")
	columnLists.Store(key, list)
	return list
}
