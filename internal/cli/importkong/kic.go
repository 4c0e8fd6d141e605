package importkong

import (
	"fmt"
	"io"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/manifests"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// readKIC reads the ingress controller's manifests: a folder of them, or "-", which is in.
func readKIC(in io.Reader, dir, namespace string) ([]kong.Entity, []importer.Left, error) {
	objects, err := manifests.Read(in, []string{dir})
	if err != nil {
		return nil, nil, fmt.Errorf("--from-kic: %w", err)
	}
	if len(objects) == 0 {
		return nil, nil, fmt.Errorf("--from-kic %s: no object is in it, in *.yaml, *.yml or *.json", dir)
	}
	all := make([]map[string]any, len(objects))
	for i, object := range objects {
		all[i] = object.Content
	}
	entities, left := importer.ReadKIC(all, namespace)
	return entities, left, nil
}
