package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const dashboardPath = "charts/kong-jwt-operator/files/dashboard.json"

// panel is what hack/pictures draws; see there.
type panel struct {
	Title, Type, Unit string
	X, Y, W, H        int
	Series            []series
}

type series struct {
	Name   string
	Points [][2]float64
}

// prometheus is the address of one.
type prometheus string

// panels reads the dashboard, and what its panels show of a time.
func (p prometheus) panels(ctx context.Context, from, to time.Time) ([]panel, error) {
	content, err := os.ReadFile(dashboardPath)
	if err != nil {
		return nil, err
	}
	var dashboard struct {
		Panels []struct {
			Title, Type string
			GridPos     struct{ X, Y, W, H int }
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		return nil, err
	}
	var all []panel
	for _, one := range dashboard.Panels {
		shown := panel{Title: one.Title, Type: one.Type, Unit: one.FieldConfig.Defaults.Unit}
		shown.X, shown.Y, shown.W, shown.H = one.GridPos.X, one.GridPos.Y, one.GridPos.W, one.GridPos.H
		for _, target := range one.Targets {
			expression := strings.NewReplacer("$gateway", ".*", "$__rate_interval", "30s").Replace(target.Expr)
			found, err := p.query(ctx, expression, target.LegendFormat, from, to)
			if err != nil {
				return nil, fmt.Errorf("panel %s: %w", one.Title, err)
			}
			shown.Series = append(shown.Series, found...)
		}
		all = append(all, shown)
	}
	return all, nil
}

// query gives the series of an expression.
func (p prometheus) query(ctx context.Context, expression, legend string, from, to time.Time) ([]series, error) {
	values := url.Values{"query": {expression}, "step": {"5"}}
	values.Set("start", strconv.FormatInt(from.Unix(), 10))
	values.Set("end", strconv.FormatInt(to.Unix(), 10))
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := ask(ctx, http.MethodGet, string(p)+"/api/v1/query_range?"+values.Encode(), &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	found := make([]series, 0, len(answer.Data.Result))
	for _, result := range answer.Data.Result {
		one := series{Name: named(legend, result.Metric)}
		for _, value := range result.Values {
			at, _ := value[0].(float64)
			text, _ := value[1].(string)
			if number, err := strconv.ParseFloat(text, 64); err == nil && text != "NaN" {
				one.Points = append(one.Points, [2]float64{at, number})
			}
		}
		if len(one.Points) > 0 {
			found = append(found, one)
		}
	}
	return found, nil
}

var label = regexp.MustCompile(`{{(\w+)}}`)

// named is what a series is called: by the legend, else by its labels.
func named(legend string, labels map[string]string) string {
	if legend != "" {
		return label.ReplaceAllStringFunc(legend, func(found string) string { return labels[strings.Trim(found, "{}")] })
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !strings.HasPrefix(name, "__") && name != "instance" && name != "job" {
			all = append(all, name+": "+labels[name])
		}
	}
	return strings.Join(all, ", ")
}
