    when {{width}} then
      return array(
        select memory_graph.id
          from tenant.memory_graph
          cross join lateral (
            select
              from tenant.memories
              where payer = p_payer and id = memory_graph.id
                and namespace >= q.namespace_min and namespace <= q.namespace_max
                and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
              limit 1
          ) wanted
          where payer = p_payer and width = {{width}} and model = q.model and dimensions = q.dimensions
          order by embedding::public.halfvec({{width}}) operator(public.<=>) v_query
          limit p_count);
