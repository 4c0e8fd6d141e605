package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// bareTag marks what the bare client makes.
const bareTag = "kongjwt-bench-bare"

// medianOf is how many PUTs, and changes, a median is taken of.
const medianOf = 50

// bareKong sends PUTs to an Admin API and nothing else.
type bareKong struct {
	url         string
	concurrency int
	http        *http.Client
}

func newBareKong(url string, concurrency int) *bareKong {
	transport := &http.Transport{MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency, MaxConnsPerHost: concurrency}
	return &bareKong{url: url, concurrency: concurrency, http: &http.Client{Transport: transport}}
}

type object = map[string]any

func (k *bareKong) put(ctx context.Context, path string, fields object) error {
	tags := []string{bareTag, "kongjwt", "kongjwt-installation:" + uuid.Nil.String(), "kongjwt-gateway:bare"}
	fields["tags"] = tags
	return k.do(ctx, http.MethodPut, path, fields, nil)
}

func (k *bareKong) do(ctx context.Context, method, path string, fields object, into any) error {
	var body io.Reader
	if fields != nil {
		content, err := json.Marshal(fields)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, k.url+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := k.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, content)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}

// median is the time of one PUT, one after the other.
func (k *bareKong) median(ctx context.Context) (time.Duration, error) {
	took := make([]time.Duration, medianOf)
	for i := range took {
		began := time.Now()
		if err := k.put(ctx, "/consumers/"+uuid.NewString(), object{"username": "bare." + uuid.NewString()}); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	return middle(took), nil
}

func middle(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[len(sorted)/2]
}

// fill puts as many entities, of the same kinds, as the operator has to.
func (k *bareKong) fill(ctx context.Context, s settings) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(k.concurrency)
	for i := range s.services {
		group.Go(func() error { return k.fillService(groupCtx, i) })
	}
	for i := range s.consumers {
		group.Go(func() error { return k.fillConsumer(groupCtx, i) })
	}
	return group.Wait()
}

func (k *bareKong) fillConsumer(ctx context.Context, i int) error {
	id, name := uuid.NewString(), fmt.Sprintf("bare.%d", i)
	if err := k.put(ctx, "/consumers/"+id, object{"username": name}); err != nil {
		return err
	}
	if err := k.put(ctx, "/consumers/"+id+"/jwt/"+uuid.NewString(), object{
		"key": name, "algorithm": "HS256", "secret": uuid.NewString() + uuid.NewString(),
	}); err != nil {
		return err
	}
	for _, group := range []string{"bare", name} {
		if err := k.put(ctx, "/consumers/"+id+"/acls/"+uuid.NewString(), object{"group": group}); err != nil {
			return err
		}
	}
	return nil
}

func (k *bareKong) fillService(ctx context.Context, i int) error {
	id, name := uuid.NewString(), fmt.Sprintf("bare.%d", i)
	reference := object{"id": id}
	if err := k.put(ctx, "/services/"+id, object{"name": name, "host": name + ".example.com"}); err != nil {
		return err
	}
	if err := k.put(ctx, "/plugins/"+uuid.NewString(), object{"name": "jwt", "service": reference}); err != nil {
		return err
	}
	acl := object{"name": "acl", "service": reference, "config": object{"allow": []string{"bare"}}}
	if err := k.put(ctx, "/plugins/"+uuid.NewString(), acl); err != nil {
		return err
	}
	for route := range routesPerService {
		fields := object{"name": fmt.Sprintf("%s.%d", name, route), "paths": []string{fmt.Sprintf("/%s/%d", name, route)}, "service": reference}
		if err := k.put(ctx, "/routes/"+uuid.NewString(), fields); err != nil {
			return err
		}
	}
	return nil
}

// clean deletes what has a tag: a real Kong is somebody's.
func (k *bareKong) clean(ctx context.Context, tag string) error {
	for _, kind := range []string{"routes", "plugins", "services", "consumers"} {
		for {
			var page struct {
				Data []struct{ ID string } `json:"data"`
			}
			if err := k.do(ctx, http.MethodGet, "/"+kind+"?size=1000&tags="+url.QueryEscape(tag), nil, &page); err != nil {
				return err
			}
			if len(page.Data) == 0 {
				break
			}
			group, groupCtx := errgroup.WithContext(ctx)
			group.SetLimit(k.concurrency)
			for _, one := range page.Data {
				group.Go(func() error { return k.do(groupCtx, http.MethodDelete, "/"+kind+"/"+one.ID, nil, nil) })
			}
			if err := group.Wait(); err != nil {
				return err
			}
		}
	}
	return nil
}
