package importkong

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// manifestEndings are those that kubectl apply -f reads of a folder.
var manifestEndings = []string{".yaml", ".yml", ".json"}

// readKIC reads a folder of the ingress controller's manifests. What cannot be read is named by its file.
func readKIC(dir, namespace string) (entities []kong.Entity, left []importer.Left, err error) {
	var manifests []importer.Manifest
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains(manifestEndings, filepath.Ext(path)) {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // A file of the folder that the person names, read with their rights.
		manifests = append(manifests, importer.Manifest{Name: path, Content: content})
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("--from-kic: %w", err)
	}
	if len(manifests) == 0 {
		return nil, nil, fmt.Errorf("--from-kic %s: no *.yaml, *.yml or *.json is in it", dir)
	}
	entities, left, err = importer.ReadKIC(manifests, namespace)
	if err != nil {
		return nil, nil, fmt.Errorf("--from-kic: %w", err)
	}
	return entities, left, nil
}
