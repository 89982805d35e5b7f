package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

func loadKeyPolicies(ctx context.Context, r *reader) (map[string]*Document, error) {
	policies := map[string]*Document{}
	return policies, r.each(ctx, kindKey, "SELECT region, key_id, document FROM key_policies", "key_id", "region, key_id",
		func(scan func(...any) error) error {
			var region, id, text string
			if err := scan(&region, &id, &text); err != nil {
				return err
			}
			policies[path(region, id)] = loaded(text, policy.KeyPolicy)
			return nil
		})
}

func loadPolicies(ctx context.Context, r *reader) error {
	return r.each(ctx, kindPolicy, "SELECT name, document, created_at, updated_at FROM policies", "name", "name",
		func(scan func(...any) error) error {
			p := new(Policy)
			var text string
			if err := scan(&p.Name, &text, (*micros)(&p.CreatedAt), (*micros)(&p.UpdatedAt)); err != nil {
				return err
			}
			p.Document = loaded(text, policy.IdentityPolicy)
			r.m.policies.put(p)
			return nil
		})
}

func loadGrants(ctx context.Context, r *reader) error {
	return r.each(ctx, kindGrant, "SELECT id, region, key_id, name, grantee, retiring, operations, context_equals, context_subset, created_at, expires_at, uses, uses_left, used_at FROM grants", "id", "id",
		func(scan func(...any) error) error {
			g := new(Grant)
			var operations string
			var equals, subset sql.NullString
			var uses sql.NullInt64
			if err := scan(&g.ID, &g.Region, &g.KeyID, &g.Name, &g.Grantee, &g.RetiringPrincipal, &operations, &equals, &subset, (*micros)(&g.CreatedAt),
				(*micros)(&g.Expires), &uses, &g.UsesLeft, (*micros)(&g.UsedAt)); err != nil {
				return err
			}
			g.Uses = uses.Int64
			if err := json.Unmarshal([]byte(operations), &g.Operations); err != nil {
				return err
			}
			for column, to := range map[*sql.NullString]*map[string]string{&equals: &g.EncryptionContextEquals, &subset: &g.EncryptionContextSubset} {
				if !column.Valid {
					continue
				}
				if err := json.Unmarshal([]byte(column.String), to); err != nil {
					return err
				}
			}
			r.m.putGrant(g)
			return nil
		})
}

// loadPrincipalSet reads what principals have several of.
func loadPrincipalSet(ctx context.Context, r *reader, table, column string) (map[string][]string, error) {
	sets := map[string][]string{}
	return sets, r.each(ctx, kindPrincipal, "SELECT principal_arn, "+column+" FROM "+table, "principal_arn", "principal_arn, "+column,
		func(scan func(...any) error) error {
			var arn, id string
			if err := scan(&arn, &id); err != nil {
				return err
			}
			sets[arn] = append(sets[arn], id)
			return nil
		})
}

func loadPrincipalTags(ctx context.Context, r *reader) (map[string][]Tag, error) {
	tags := map[string][]Tag{}
	return tags, r.each(ctx, kindPrincipal, "SELECT principal_arn, name, value FROM principal_tags", "principal_arn", "principal_arn, name",
		func(scan func(...any) error) error {
			var arn string
			var t Tag
			if err := scan(&arn, &t.Name, &t.Value); err != nil {
				return err
			}
			tags[arn] = append(tags[arn], t)
			return nil
		})
}
