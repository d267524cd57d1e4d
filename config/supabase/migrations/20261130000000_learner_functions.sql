-- What a host asks for under a learner's JWT. Both functions run with the caller's rights, so the
-- policies of the tables decide, whatever the arguments say.

-- Returns the context of the learner of the JWT, in the form of the API's `GET /user/…/context`. What
-- `user_contexts` counts, and the progress of lessons since, add up.
create function learner_context()
returns jsonb
language sql
stable
set search_path = public, pg_temp
as $$
    with practised as (
        select
            coalesce(sum(words_learned), 0) as words,
            coalesce(sum(phrases_practiced), 0) as phrases,
            avg(pronunciation_score) as score
        from user_progress
        where user_id = (select auth.uid())
    )
    select jsonb_build_object(
        'user_id', auth.uid(),
        'preferences', coalesce(
            (
                select to_jsonb(it) - 'user_id' - 'updated_at' from user_preferences as it
                where user_id = (select auth.uid())
            ),
            '{}'
        ),
        'progress', coalesce(
            (
                select
                    to_jsonb(it) - 'user_id' - 'created_at' - 'updated_at' || jsonb_build_object(
                        'words_learned', it.words_learned + practised.words,
                        'phrases_practiced', it.phrases_practiced + practised.phrases,
                        'pronunciation_score_avg',
                        coalesce(round(practised.score, 1), it.pronunciation_score_avg)
                    )
                from user_contexts as it cross join practised
                where it.user_id = (select auth.uid())
            ),
            '{}'
        ),
        'session_history', (
            select coalesce(jsonb_agg(to_jsonb(it) order by it.date desc), '[]')
            from (
                select session_id, created_at as date, duration_minutes, topics_covered
                from learning_sessions
                where user_id = (select auth.uid())
                order by created_at desc
                limit 50
            ) as it
        )
    )
$$;

-- Saves the progress of a lesson, which counts from its beginning, in the form of the API's
-- `POST /progress`. The user is the one that the update names: the policies refuse another's.
create function save_progress(update jsonb, agent_id text)
returns void
language sql
set search_path = public, pg_temp
as $$
    insert into user_progress (
        user_id, session_id, agent_id, status, words_learned, phrases_practiced,
        pronunciation_score, grammar_points
    )
    select
        (update ->> 'userId')::uuid, update ->> 'sessionId', save_progress.agent_id,
        update #>> '{data,status}', it.words_learned, it.phrases_practiced,
        it.pronunciation_score, coalesce(it.grammar_points, '{}')
    from jsonb_populate_record(null::user_progress, update #> '{data,progress}') as it
    on conflict (user_id, session_id) do update
    set
        agent_id = excluded.agent_id,
        status = excluded.status,
        words_learned = excluded.words_learned,
        phrases_practiced = excluded.phrases_practiced,
        pronunciation_score = excluded.pronunciation_score,
        grammar_points = excluded.grammar_points,
        updated_at = now()
$$;

revoke execute on function learner_context, save_progress from public, anon;
grant execute on function learner_context, save_progress to authenticated;
