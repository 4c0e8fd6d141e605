package controllers

import (
	"context"
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// pluginConfigs reads what the configFrom Secrets of plugins contain.
func (o Options) pluginConfigs(ctx context.Context, namespace string, plugins []v1alpha1.PluginSpec) (desired.Configs, error) {
	configs := desired.Configs{}
	for i, plugin := range plugins {
		for j, from := range plugin.ConfigFrom {
			field := fmt.Sprintf("spec.plugins[%d].configFrom[%d].secretRef", i, j)
			content, err := o.Secrets.Key(ctx, field, namespace, from.SecretRef.Name, from.SecretRef.Key)
			if err != nil {
				return nil, err
			}
			configs[plugin.Name] = append(configs[plugin.Name], content)
		}
	}
	return configs, nil
}
